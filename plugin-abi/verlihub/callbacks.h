// callbacks.h - the table of functions that scripts call, over a Hub.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_CALLBACKS_H
#define VHPY_VERLIHUB_CALLBACKS_H

#include "hub.h"
#include "vhpy.h"
#include "waiting.h"

namespace vhpy_verlihub {

// The table for w_Begin, with a hub's methods in it; what must wait for the hub is kept in `acts`.
// Both must live until w_End; there is one of each at a time.
w_Tcallback *callbacks(Hub &hub, Waiting &acts);

// How many functions of scripts the hub is inside of. While there is one, scripts' frames are
// on the stack and the plugin must not be unloaded.
unsigned callback_depth();

} // namespace vhpy_verlihub

#endif
