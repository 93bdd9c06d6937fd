// vhpy.hpp - functions of a C++17 hub for its Python scripts, over vhpy.h; header only.
//
//     vhpy::register_function(id, "distance", [](double x1, double y1, double x2, double y2) {
//         return std::hypot(x2 - x1, y2 - y1);
//     });
//
// and in the script vh.call("distance", 0, 0, 3, 4).
//
// A function takes up to eight arguments of these types, in any mix: long, int, bool, double,
// std::string, const char * (null for None), std::vector<std::string>, and std::optional of
// them (None, or left out at the end). It returns void, one of them, or std::optional of one.
// Wrong arguments and exceptions become a RuntimeError in the script; no exception leaves the
// function.
//
// The hub is linked with libvhpy, or has opened it with RTLD_GLOBAL before the first call.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_HPP
#define VHPY_HPP

#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "vhpy.h"

namespace vhpy {
namespace detail {

// ---------------------------------------------------------------- arguments

// How a parameter type is read. `letter` is what w_unpack is to make of an element that has
// the letter `given`; `read` throws std::invalid_argument with what the type must be.
template <class T> struct argument;

[[noreturn]] inline void must_be(const char *type)
{
    throw std::invalid_argument(type);
}

template <> struct argument<long> {
    static char letter(char given) { return given; }
    static long read(const w_Telement &value)
    {
        if (value.type != 'l')
            must_be("int");
        return value.l;
    }
};

template <> struct argument<int> {
    static char letter(char given) { return given; }
    static int read(const w_Telement &value)
    {
        if (value.type != 'l' || value.l < std::numeric_limits<int>::min() ||
            value.l > std::numeric_limits<int>::max())
            must_be("int of 32 bits");
        return static_cast<int>(value.l);
    }
};

template <> struct argument<bool> {
    static char letter(char given) { return given; }
    static bool read(const w_Telement &value)
    {
        if (value.type != 'l')
            must_be("bool");
        return value.l != 0;
    }
};

template <> struct argument<double> {
    static char letter(char given) { return given; }
    static double read(const w_Telement &value)
    {
        if (value.type == 'l')
            return static_cast<double>(value.l);
        if (value.type != 'd')
            must_be("float");
        return value.d;
    }
};

template <> struct argument<const char *> {
    static char letter(char given) { return given; }
    static const char *read(const w_Telement &value)
    {
        if (value.type != 's')
            must_be("str or None");
        return value.s;
    }
};

template <> struct argument<std::string> {
    static char letter(char given) { return given; }
    static std::string read(const w_Telement &value)
    {
        if (value.type != 's' || !value.s)
            must_be("str");
        return value.s;
    }
};

template <> struct argument<std::vector<std::string>> {
    static char letter(char given) { return given == 'D' ? 'L' : given; }
    static std::vector<std::string> read(const w_Telement &value)
    {
        if (value.type != 'L')
            must_be("list of str");
        std::vector<std::string> list;
        for (char **text = value.L; text && *text; text++)
            list.emplace_back(*text);
        return list;
    }
};

template <class T> struct argument<std::optional<T>> {
    static char letter(char given) { return argument<T>::letter(given); }
    static std::optional<T> read(const w_Telement &value)
    {
        if (value.type == 's' && !value.s)
            return std::nullopt;
        return argument<T>::read(value);
    }
};

template <class T> struct is_optional : std::false_type {};
template <class T> struct is_optional<std::optional<T>> : std::true_type {};

// A parameter as written, such as const std::string &, and what is read for it.
template <class T> using plain = std::remove_cv_t<std::remove_reference_t<T>>;

// ---------------------------------------------------------------- results

inline char *copy(const std::string &text)
{
    char *block = static_cast<char *>(std::malloc(text.size() + 1));
    if (!block)
        throw std::bad_alloc();
    std::memcpy(block, text.c_str(), text.size() + 1);
    return block;
}

inline w_Targs *pack(bool value) { return w_pack("l", value ? 1L : 0L); }
inline w_Targs *pack(int value) { return w_pack("l", static_cast<long>(value)); }
inline w_Targs *pack(long value) { return w_pack("l", value); }
inline w_Targs *pack(double value) { return w_pack("d", value); }
inline w_Targs *pack(const std::string &value) { return w_pack("s", copy(value)); }
inline w_Targs *pack(const char *value) { return value ? pack(std::string(value)) : w_pack(""); }

inline w_Targs *pack(const std::vector<std::string> &value)
{
    char **list = static_cast<char **>(std::calloc(value.size() + 1, sizeof(char *)));
    if (!list)
        throw std::bad_alloc();
    for (std::size_t at = 0; at < value.size(); at++)
        list[at] = copy(value[at]);
    return w_pack("L", list);
}

template <class T> w_Targs *pack(const std::optional<T> &value)
{
    return value ? pack(*value) : w_pack("");
}

// ---------------------------------------------------------------- calling

// The parameters of a lambda, a function object or a function.
template <class F> struct signature : signature<decltype(&F::operator())> {};
template <class R, class... A> struct signature<R (*)(A...)> {
    static constexpr std::size_t count = sizeof...(A);
    using result = R;

    template <class F> static w_Targs *call(F &function, w_Targs *args)
    {
        return call(function, args, std::index_sequence_for<A...>());
    }

private:
    template <class F, std::size_t... At>
    static w_Targs *call(F &function, w_Targs *args, std::index_sequence<At...>)
    {
        const std::size_t given = args && args->format ? std::strlen(args->format) : 0;
        if (given > count)
            throw std::invalid_argument("takes " + std::to_string(count) + " arguments, got " +
                                        std::to_string(given));
        char format[count + 1] = {};
        [[maybe_unused]] char (*const letters[])(char) = {&argument<plain<A>>::letter..., nullptr};
        for (std::size_t at = 0; at < given; at++)
            format[at] = letters[at](args->format[at]);
        w_Telement values[count + 1] = {};
        if (given && !vhpy_unpack(args, format, values)) // a D that is no list of str
            vhpy_unpack(args, args->format, values);
        if constexpr (std::is_void_v<R>) {
            function(one<plain<A>>(values, At, given)...);
            return w_pack("");
        } else {
            return pack(static_cast<plain<R>>(function(one<plain<A>>(values, At, given)...)));
        }
    }

    template <class T> static T one(const w_Telement *values, std::size_t at, std::size_t given)
    {
        if (at >= given) {
            if constexpr (is_optional<T>::value)
                return std::nullopt;
            else
                throw std::invalid_argument("takes " + std::to_string(count) + " arguments, got " +
                                            std::to_string(given));
        }
        try {
            return argument<T>::read(values[at]);
        } catch (const std::invalid_argument &error) {
            throw std::invalid_argument("argument " + std::to_string(at + 1) + " must be " + error.what());
        }
    }
};
template <class R, class... A> struct signature<R (*)(A...) noexcept> : signature<R (*)(A...)> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...)> : signature<R (*)(A...)> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...) const> : signature<R (*)(A...)> {};
template <class C, class R, class... A> struct signature<R (C::*)(A...) noexcept> : signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct signature<R (C::*)(A...) const noexcept> : signature<R (*)(A...)> {};

// Calls a function with a script's arguments. No exception leaves it: the library's frames
// are on the stack.
template <class F> w_Targs *call(F &function, w_Targs *args) noexcept
{
    try {
        return signature<F>::call(function, args);
    } catch (const std::exception &error) {
        vhpy_set_error(error.what());
    } catch (...) {
        vhpy_set_error("the function threw something that is no std::exception");
    }
    return nullptr;
}

} // namespace detail

// Gives one script a function that it calls as vh.CallDynamicFunction(name, ...) or
// vh.call(name, ...), until it is unloaded. False, with a line in the log, when there is no
// such script.
template <class F> bool register_function(int id, const char *name, F function)
{
    using stored = std::decay_t<F>;
    static_assert(detail::signature<stored>::count <= 8, "a function has eight arguments at most");
    return vhpy_register(
               id, name,
               [](void *data, w_Targs *args) { return detail::call(*static_cast<stored *>(data), args); },
               new stored(std::move(function)), [](void *data) { delete static_cast<stored *>(data); }) != 0;
}

// ---------------------------------------------------------------- bodies of callbacks

// A callback of the table in one line:
//
//     w_Targs *get_user_class(int id, w_Targs *args)
//     {
//         return vhpy::WrapStringToLong(id, args, [](const char *nick) { return class_of(nick); });
//     }
//
// When an argument is missing, of another type or NULL, they return NULL without calling the
// function. A string result may be a std::string or a const char *; NULL is NULL.
namespace detail {

template <class F> w_Targs *answer(F &&function) noexcept
{
    try {
        return function();
    } catch (const std::exception &error) {
        vhpy_set_error(error.what());
    } catch (...) {
        vhpy_set_error("the callback threw something that is no std::exception");
    }
    return nullptr;
}

inline w_Targs *text(const std::string &value) { return pack(value); }
inline w_Targs *text(const char *value) { return value ? pack(std::string(value)) : nullptr; }

template <class F> w_Targs *with_string(w_Targs *args, F &&function) noexcept
{
    const char *first = nullptr;
    if (!w_unpack(args, "s", &first) || !first)
        return nullptr;
    return answer([&] { return function(first); });
}

template <class F> w_Targs *with_two_strings(w_Targs *args, F &&function) noexcept
{
    const char *first = nullptr, *second = nullptr;
    if (!w_unpack(args, "ss", &first, &second) || !first || !second)
        return nullptr;
    return answer([&] { return function(first, second); });
}

} // namespace detail

template <class F> w_Targs *WrapStringToBool(int, w_Targs *args, F function)
{
    return detail::with_string(args, [&](const char *one) { return detail::pack(static_cast<bool>(function(one))); });
}

template <class F> w_Targs *WrapStringToString(int, w_Targs *args, F function)
{
    return detail::with_string(args, [&](const char *one) { return detail::text(function(one)); });
}

template <class F> w_Targs *WrapStringToLong(int, w_Targs *args, F function)
{
    return detail::with_string(args, [&](const char *one) { return detail::pack(static_cast<long>(function(one))); });
}

template <class F> w_Targs *WrapStringLongToBool(int, w_Targs *args, F function)
{
    const char *first = nullptr;
    long second = 0;
    if (!w_unpack(args, "sl", &first, &second) || !first)
        return nullptr;
    return detail::answer([&] { return detail::pack(static_cast<bool>(function(first, second))); });
}

template <class F> w_Targs *WrapStringStringToBool(int, w_Targs *args, F function)
{
    return detail::with_two_strings(args, [&](const char *one, const char *two) {
        return detail::pack(static_cast<bool>(function(one, two)));
    });
}

template <class F> w_Targs *WrapStringStringToString(int, w_Targs *args, F function)
{
    return detail::with_two_strings(
        args, [&](const char *one, const char *two) { return detail::text(function(one, two)); });
}

} // namespace vhpy

#endif
