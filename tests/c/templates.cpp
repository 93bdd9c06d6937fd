// vhpy.hpp without scripts: what its templates make of arguments, results and exceptions.
#include <cmath>
#include <cstdio>
#include <functional>

#include "vhpy.hpp"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: not true: %s; last error: %s\n", __FILE__, __LINE__,      \
                         #condition, vhpy_last_error());                                           \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

// Calls a function as the library does, and gives its answer as text, or its error.
template <class F> static std::string call(F function, w_Targs *args)
{
    w_Targs *answer = vhpy::detail::call(function, args);
    std::string text = answer ? w_packprint(answer) : std::string("error: ") + vhpy_last_error();
    if (answer) {
        // Parts of an answer are blocks of their own, which here nobody takes over.
        for (std::size_t at = 0; answer->format[at]; at++) {
            if (answer->format[at] == 's')
                std::free(answer->args[at].s);
            if (answer->format[at] == 'L') {
                for (char **item = answer->args[at].L; *item; item++)
                    std::free(*item);
                std::free(answer->args[at].L);
            }
        }
        w_free_args(answer);
    }
    w_free_args(args);
    return text;
}

static long plain(const std::string &text, long number)
{
    return static_cast<long>(text.size()) + number;
}

static void check_lambdas()
{
    auto distance = [](double x1, double y1, double x2, double y2) { return std::hypot(x2 - x1, y2 - y1); };
    CHECK(call(distance, w_pack("dddd", 0.0, 0.0, 3.0, 4.0)) == "d [ 5.0 ]");
    CHECK(call(distance, w_pack("llll", 0L, 0L, 3L, 4L)) == "d [ 5.0 ]"); // Python passes ints
    CHECK(call(distance, w_pack("ll", 0L, 0L)) == "error: takes 4 arguments, got 2");
    CHECK(call(distance, w_pack("lllll", 0L, 0L, 0L, 0L, 0L)) == "error: takes 4 arguments, got 5");
    CHECK(call(distance, w_pack("dsdd", 0.0, "x", 0.0, 0.0)) == "error: argument 2 must be float");
    CHECK(call(&plain, w_pack("sl", "abc", 4L)) == "l [ 7 ]");
    CHECK(call(std::function<bool(bool)>([](bool yes) { return !yes; }), w_pack("l", 1L)) == "l [ 0 ]");
    CHECK(call([](int number) { return number; }, w_pack("l", 1L << 40)) == "error: argument 1 must be int of 32 bits");
    CHECK(call([] {}, w_pack("")) == " [ ]");
    CHECK(call([](const char *text) { return text; }, w_pack("s", "t")) == "s [ 't' ]");
    CHECK(call([](const char *text) { return text == nullptr; }, w_pack("s", nullptr)) == "l [ 1 ]");
    CHECK(call([](std::string) { return 0; }, w_pack("s", nullptr)) == "error: argument 1 must be str");
    CHECK(call([](std::optional<long> one) { return one.value_or(9); }, w_pack("")) == "l [ 9 ]");
    CHECK(call([](std::optional<std::string> one) { return one; }, w_pack("s", nullptr)) == " [ ]");
    CHECK(call([](long a, int b, double c, std::string d, bool e, const char *f, long g, long h) {
              return std::to_string(a + b + g + h) + d + f + (e ? "y" : "n") + std::to_string(static_cast<int>(c));
          },
          w_pack("lldslsll", 1L, 2L, 3.0, "d", 1L, "f", 4L, 5L)) == "s [ '12dfy3' ]");
    int count = 0;
    CHECK(call([&count]() mutable { return ++count; }, w_pack("")) == "l [ 1 ]" && count == 1);
}

static void check_lists()
{
    auto join = [](const std::vector<std::string> &list) {
        std::string all;
        for (const std::string &item : list)
            all += item + ".";
        return all;
    };
    char one[] = "one", two[] = "two";
    char *list[] = {one, two, nullptr};
    CHECK(call(join, w_pack("L", list)) == "s [ 'one.two.' ]");
    CHECK(call(join, w_pack("D", "[\"a\", \"b\"]")) == "s [ 'a.b.' ]"); // the later numbering
    CHECK(call(join, w_pack("D", "[1]")) == "error: argument 1 must be list of str");
    CHECK(call([](long n) { return std::vector<std::string>(static_cast<std::size_t>(n), "x"); }, w_pack("l", 2L)) ==
          "L [ [\"x\", \"x\"] ]");
}

static void check_exceptions()
{
    CHECK(call([]() -> long { throw std::runtime_error("no such user"); }, w_pack("")) == "error: no such user");
    CHECK(call([]() -> long { throw 5; }, w_pack("")).find("no std::exception") != std::string::npos);
}

static std::string answered(w_Targs *answer, w_Targs *args)
{
    std::string text = answer ? w_packprint(answer) : "NULL";
    if (answer && answer->format[0] == 's')
        std::free(answer->args[0].s);
    w_free_args(answer);
    w_free_args(args);
    return text;
}

#define WRAP(wrapper, args, ...) ([&] { w_Targs *a = args; return answered(vhpy::wrapper(0, a, __VA_ARGS__), a); }())

static void check_wrappers()
{
    auto is_a = [](const char *text) { return text[0] == 'a'; };
    CHECK(WRAP(WrapStringToBool, w_pack("s", "abc"), is_a) == "l [ 1 ]");
    CHECK(WRAP(WrapStringToBool, w_pack("s", "xbc"), is_a) == "l [ 0 ]");
    CHECK(WRAP(WrapStringToBool, w_pack("s", nullptr), is_a) == "NULL");
    CHECK(WRAP(WrapStringToBool, w_pack("l", 5L), is_a) == "NULL");
    CHECK(WRAP(WrapStringToString, w_pack("s", "abc"), [](const char *text) { return std::string(text) + "!"; }) ==
          "s [ 'abc!' ]");
    CHECK(WRAP(WrapStringToString, w_pack("s", "abc"), [](const char *) -> const char * { return nullptr; }) == "NULL");
    CHECK(WRAP(WrapStringToLong, w_pack("s", "abc"), [](const char *text) { return std::strlen(text); }) == "l [ 3 ]");
    CHECK(WRAP(WrapStringLongToBool, w_pack("sl", "abc", 3L),
               [](const std::string &text, long n) { return static_cast<long>(text.size()) == n; }) == "l [ 1 ]");
    CHECK(WRAP(WrapStringStringToBool, w_pack("ss", "a", "a"),
               [](const char *one, const char *two) { return !std::strcmp(one, two); }) == "l [ 1 ]");
    CHECK(WRAP(WrapStringStringToBool, w_pack("ss", "a", nullptr), [](const char *, const char *) { return true; }) ==
          "NULL");
    CHECK(WRAP(WrapStringStringToString, w_pack("ss", "a", "b"),
               [](const std::string &one, const std::string &two) { return one + two; }) == "s [ 'ab' ]");
    CHECK(WRAP(WrapStringToLong, w_pack("s", "abc"), [](const char *) -> long { throw std::runtime_error("x"); }) ==
          "NULL");
}

int main()
{
    check_lambdas();
    check_lists();
    check_exceptions();
    check_wrappers();
    CHECK(!vhpy::register_function(0, "nobody", [](long one) { return one; }));
    std::puts("templates: good");
}
