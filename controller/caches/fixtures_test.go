package caches

import "github.com/everynode/everynode/controller/model"

// everynode are the kinds of most tests.
var everynode = model.Kinds{Everynode: true}
