// waiting.cpp - which acts wait, and doing them.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include "waiting.h"

#include <algorithm>
#include <exception>

namespace vhpy_verlihub {

Waiting::Event::Event(Waiting &waiting, int hook, Connection connection, const w_Telement *values, size_t count)
    : waiting_(waiting), hook_(hook), connection_(connection), values_(values), count_(count),
      outer_(waiting.innermost_)
{
    waiting.innermost_ = this;
}

Waiting::Event::~Event()
{
    waiting_.innermost_ = outer_;
}

bool Waiting::must_wait(Kind kind, Hooks in, const char *nick)
{
    for (const Event *event = innermost_; event; event = event->outer_)
        if (in >> event->hook_ & 1 || (nick && is_about(*event, nick)))
            return true;
    if (!busy() || kind == Kind::other)
        return false;
    // In order: a command may be about anybody.
    return std::any_of(acts_.begin(), acts_.end(), [&](const Act &act) {
        return kind == Kind::command || act.kind == Kind::command || (nick && hub_.is_same_nick(act.nick, nick));
    });
}

// Any text of an event may be a nick, as that of who was kicked.
bool Waiting::is_about(const Event &event, const char *nick)
{
    if (event.connection_) {
        const std::optional<std::string> own = hub_.nick_of(event.connection_);
        if (own && hub_.is_same_nick(*own, nick))
            return true;
    }
    return std::any_of(event.values_, event.values_ + event.count_, [&](const w_Telement &value) {
        return value.type == 's' && value.s && hub_.is_same_nick(value.s, nick);
    });
}

bool Waiting::add(Kind kind, const char *nick, std::function<void()> work)
{
    if (acts_.size() >= MAX) {
        hub_.log(1, "a script's call is refused: " + std::to_string(MAX) + " of them wait for the hub already");
        return false;
    }
    acts_.push_back({kind, nick ? nick : "", std::move(work)});
    hub_.wake();
    return true;
}

void Waiting::run()
{
    if (!busy())
        do_all(true);
}

void Waiting::run_at_end()
{
    if (!running_)
        do_all(false);
    acts_.clear();
}

// Not what comes to wait meanwhile: that is the next visit's.
void Waiting::do_all(bool commands)
{
    if (acts_.empty())
        return;
    std::deque<Act> acts;
    acts.swap(acts_);
    running_ = true;
    for (const Act &act : acts) {
        if (act.kind == Kind::command && !commands)
            continue;
        try {
            act.work();
        } catch (const std::exception &error) {
            hub_.log(0, std::string("what a script asked for failed: ") + error.what());
        } catch (...) { // Verlihub throws texts, too
            hub_.log(0, "what a script asked for failed");
        }
    }
    running_ = false;
}

bool Waiting::is_leaving(const std::string &nick)
{
    return std::any_of(acts_.begin(), acts_.end(), [&](const Act &act) {
        return act.kind == Kind::close && hub_.is_same_nick(act.nick, nick.c_str());
    });
}

} // namespace vhpy_verlihub
