// text.h - texts of scripts' calls, of which any may be missing.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_TEXT_H
#define VHPY_VERLIHUB_TEXT_H

#include <string>

namespace vhpy_verlihub {

inline std::string text(const char *value)
{
    return value ? value : "";
}

inline bool given(const char *value)
{
    return value && *value;
}

// What somebody says ends where it ends: it begins no other message.
inline std::string said(const char *value)
{
    std::string whole = text(value), plain;
    while (!whole.empty() && whole.back() == '|')
        whole.pop_back();
    for (const char letter : whole) {
        if (letter == '|')
            plain += "&#124;";
        else
            plain += letter;
    }
    return plain;
}

// Clients take the last byte as status; what can be typed is none.
inline std::string with_status(std::string speed)
{
    if (speed.empty() || static_cast<unsigned char>(speed.back()) >= 0x20)
        speed += '\x01';
    return speed;
}

} // namespace vhpy_verlihub

#endif
