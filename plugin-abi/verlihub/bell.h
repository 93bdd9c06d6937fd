// bell.h - a descriptor that is readable once it was rung.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_BELL_H
#define VHPY_VERLIHUB_BELL_H

#include <sys/eventfd.h>
#include <unistd.h>

namespace vhpy_verlihub {

class Bell {
public:
    Bell() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~Bell()
    {
        if (descriptor_ >= 0)
            close(descriptor_);
    }
    Bell(const Bell &) = delete;
    Bell &operator=(const Bell &) = delete;

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
