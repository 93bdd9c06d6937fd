// waiting.h - what scripts may not do to the hub while it is in the middle of something: such
// acts wait here until the hub is back in its loop.
//
// Verlihub's objects cannot be entered twice. A console command keeps where its output goes in
// itself, a list of callbacks keeps its event's arguments, and what raises an event goes on with
// the user or the robot when the event is over (docs/verlihub.md lists what was found). So for
// every act there is a rule (callbacks.cpp): the events in which it waits, and whether it waits in
// an event about its own user. What must keep an order waits behind what waits already.
//
// All on the hub's thread.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_WAITING_H
#define VHPY_VERLIHUB_WAITING_H

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <string>

#include "hub.h"
#include "vhpy.h"

namespace vhpy_verlihub {

// Some of the 41 hooks, a bit each.
using Hooks = uint64_t;

constexpr Hooks hooks(std::initializer_list<int> numbers)
{
    Hooks set = 0;
    for (const int number : numbers)
        set |= Hooks(1) << number;
    return set;
}

// What acts are alike in, for their order.
enum class Kind {
    close,   // ends a user's connection
    user,    // anything else about one user or robot
    command, // a command of the hub, about anybody
    other,   // about nobody
};

struct Act {
    Kind kind;
    std::string nick; // whom it is about; empty: nobody
    std::function<void()> work;
};

class Waiting {
public:
    explicit Waiting(Hub &hub) : hub_(hub) {}

    // An event that is open while this lives; its arguments must live as long.
    class Event {
    public:
        Event(Waiting &waiting, int hook, Connection connection, const w_Telement *values, size_t count);
        // Not an event, but as deep in the hub: a command that loads or unloads scripts.
        Event(Waiting &waiting, int hook) : Event(waiting, hook, nullptr, nullptr, 0) {}
        ~Event();
        Event(const Event &) = delete;
        Event &operator=(const Event &) = delete;

    private:
        friend class Waiting;
        Waiting &waiting_;
        int hook_;
        Connection connection_;
        const w_Telement *values_;
        size_t count_;
        Event *outer_;
    };

    // Whether an event is open or something that waited is being done.
    bool busy() const { return innermost_ || running_; }

    // Whether an act must wait that may not be done in some events. nick: whom it is about, so
    // that it waits in every event about them; NULL: nobody.
    bool must_wait(Kind kind, Hooks in, const char *nick);

    // Keeps an act for later, and has the hub come by. False: too many wait already.
    bool add(Kind kind, const char *nick, std::function<void()> work);

    // Does what waits, in order. Harmless while an event is open.
    void run();

    // The last visit: a command may be under way in the hub, so none is given any more.
    void run_at_end();

    // Whether something waits that will end this user's connection.
    bool is_leaving(const std::string &nick);

private:
    bool is_about(const Event &event, const char *nick);
    void do_all(bool commands);

    // A script that asks for more in one event is out of its mind.
    static constexpr size_t MAX = 10000;

    Hub &hub_;
    Event *innermost_ = nullptr;
    bool running_ = false;
    std::deque<Act> acts_;
};

} // namespace vhpy_verlihub

#endif
