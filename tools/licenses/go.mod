// licenses, which lists the licenses of what the programs contain (docs/reference/licenses.md).
module github.com/everynode/everynode/tools/licenses

go 1.26.0

require github.com/google/licensecheck v0.3.1
