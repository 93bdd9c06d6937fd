// verlihub.h - Verlihub's headers, quietly. The Makefile finds the defines under which the
// hub was compiled; two of them change the layout of its classes.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_VERLIHUB_H
#define VHPY_VERLIHUB_VERLIHUB_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include <cban.h>
#include <cbanlist.h>
#include <cconndc.h>
#include <cdcproto.h>
#include <cmaxminddb.h>
#include <cquery.h>
#include <cserverdc.h>
#include <cvhplugin.h>
#include <script_api.h>
#pragma GCC diagnostic pop

#endif
