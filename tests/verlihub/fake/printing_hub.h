// printing_hub.h - the Verlihub of printing_hub.cpp, as its driver sees it.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_TESTS_PRINTING_HUB_H
#define VHPY_TESTS_PRINTING_HUB_H

#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include <verlihub_api.h>

namespace fake {

// One line of the transcript; what cannot be seen is escaped.
void print(const std::string &line);

extern nVerliHub::nSocket::cServerDC server;
extern nVerliHub::nPlugin::cVHPlugin *plugin;
// What the hub was last given to poll.
extern nVerliHub::nSocket::cAsyncConn *polled;
// The configuration, by "file.variable".
extern std::map<std::string, std::string> settings;

} // namespace fake

#endif
