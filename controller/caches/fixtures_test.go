package caches

import "github.com/everynode/everynode/controller/model"

// everynode are the kinds in most tests.
var everynode = model.Kinds{Everynode: true}
