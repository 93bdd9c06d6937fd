// waker.h - makes Verlihub's loop visit us when a script's own thread waits, when something waits
// that a script did in an event, and once a second where Verlihub's own timer stands still: the hub
// polls our descriptor among its connections.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_WAKER_H
#define VHPY_VERLIHUB_WAKER_H

#include <chrono>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "scripts.h"
#include "server.h"
#include "verlihub.h"

namespace vhpy_verlihub {

// Names a protected member of the server through a class derived from it.
struct Poll : nVerliHub::nSocket::cServerDC {
    static nVerliHub::nSocket::cConnPoll cAsyncSocketServer::*chooser() { return &Poll::mConnChooser; }
};

// Verlihub's timer goes by the time of day: after the clock was set back it stands still until the
// old time has come again. This one stands in for it, by the time since the machine started.
class StandIn {
public:
    StandIn() : descriptor_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {}
    ~StandIn()
    {
        if (descriptor_ >= 0)
            close(descriptor_);
    }
    StandIn(const StandIn &) = delete;
    StandIn &operator=(const StandIn &) = delete;

    int descriptor() const { return descriptor_; }

    // The hub's own timer has ticked, and should again within its period, in seconds.
    void put_off(int period)
    {
        const itimerspec times = {{1, 0}, {2 + 2 * time_t(period > 0 ? period : 1), 0}};
        timerfd_settime(descriptor_, 0, &times, nullptr);
    }

    // Whether it has to tick now; asked once.
    bool ticks()
    {
        uint64_t count = 0;
        return read(descriptor_, &count, sizeof count) == sizeof count;
    }

private:
    int descriptor_;
};

// A listening connection is the one kind of which the hub's loop calls nothing but Accept.
class Waker final : public nVerliHub::nSocket::cAsyncConn {
public:
    Waker(nVerliHub::nSocket::cServerDC &server, Server &hub, Scripts &scripts)
        : cAsyncConn(0, nullptr, nVerliHub::nEnums::eCT_LISTEN), server_(server), doorbell_(hub.doorbell()), scripts_(scripts)
    {
        // The base class closes it.
        mSockDesc = epoll_create1(EPOLL_CLOEXEC);
        ok = mSockDesc >= 0 && watch(vhpy_poll_fd());
        if (!ok)
            return;
        watch(doorbell_.descriptor());
        watch(stand_in_.descriptor());
        hub_ticked();
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

    void hub_ticked() { stand_in_.put_off(server_.timer_serv_period); }

    cAsyncConn *Accept(const unsigned int, const unsigned int) override
    {
        doorbell_.silence();
        if (stand_in_.ticks())
            scripts_.tick(std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
        else
            scripts_.serve();
        return nullptr;
    }

private:
    bool watch(int descriptor)
    {
        epoll_event event = {};
        event.events = EPOLLIN;
        return epoll_ctl(mSockDesc, EPOLL_CTL_ADD, descriptor, &event) == 0;
    }

    nVerliHub::nSocket::cServerDC &server_;
    Doorbell &doorbell_;
    StandIn stand_in_;
    Scripts &scripts_;
};

} // namespace vhpy_verlihub

#endif
