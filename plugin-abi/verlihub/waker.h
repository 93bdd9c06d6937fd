// waker.h - makes Verlihub's loop visit us when a script's own thread waits: the hub polls our
// descriptor among its connections.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_WAKER_H
#define VHPY_VERLIHUB_WAKER_H

#include <fcntl.h>

#include "scripts.h"
#include "verlihub.h"

namespace vhpy_verlihub {

// Names a protected member of the server through a class derived from it.
struct Poll : nVerliHub::nSocket::cServerDC {
    static nVerliHub::nSocket::cConnPoll cAsyncSocketServer::*chooser() { return &Poll::mConnChooser; }
};

// A listening connection is the one kind of which the hub's loop calls nothing but Accept.
class Waker final : public nVerliHub::nSocket::cAsyncConn {
public:
    Waker(nVerliHub::nSocket::cServerDC &server, Scripts &scripts)
        : cAsyncConn(0, nullptr, nVerliHub::nEnums::eCT_LISTEN), server_(server), scripts_(scripts)
    {
        // A copy, as the base class closes it. It is readable when the library's own is.
        mSockDesc = fcntl(vhpy_poll_fd(), F_DUPFD_CLOEXEC, 0);
        ok = mSockDesc >= 0;
        if (!ok)
            return;
        ++sSocketCounter;
        auto &poll = server_.*Poll::chooser();
        poll.AddConn(this);
        poll.OptIn(mSockDesc, nVerliHub::nEnums::tChEvent(nVerliHub::nEnums::eCC_INPUT));
    }

    ~Waker() override
    {
        if (ok)
            (server_.*Poll::chooser()).DelConn(this);
    }

    cAsyncConn *Accept(const unsigned int, const unsigned int) override
    {
        scripts_.serve();
        return nullptr;
    }

private:
    nVerliHub::nSocket::cServerDC &server_;
    Scripts &scripts_;
};

} // namespace vhpy_verlihub

#endif
