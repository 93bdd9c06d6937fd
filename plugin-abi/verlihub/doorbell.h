// doorbell.h - a descriptor that is readable once it was rung.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_BELL_H
#define VHPY_VERLIHUB_BELL_H

#include <sys/eventfd.h>
#include <unistd.h>

namespace vhpy_verlihub {

class Doorbell {
public:
    Doorbell() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~Doorbell()
    {
        if (descriptor_ >= 0)
            close(descriptor_);
    }
    Doorbell(const Doorbell &) = delete;
    Doorbell &operator=(const Doorbell &) = delete;

    // Negative when the system had none: then what waits is done at the next tick.
    int descriptor() const { return descriptor_; }

    void ring() { eventfd_write(descriptor_, 1); }

    void silence()
    {
        eventfd_t rung;
        eventfd_read(descriptor_, &rung);
    }

private:
    int descriptor_;
};

} // namespace vhpy_verlihub

#endif
