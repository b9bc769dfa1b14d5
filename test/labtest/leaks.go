package labtest

import "go.uber.org/goleak"

// VerifyMain runs a package's tests, and fails when they leave a goroutine behind. The one that starts the processes of
// labs must keep running: they are killed when its thread ends.
func VerifyMain(m goleak.TestingM, options ...goleak.Option) {
	goleak.VerifyTestMain(m, append(options, goleak.IgnoreTopFunction("github.com/everynode/everynode/test/lab.(*anchor).serve"))...)
}
