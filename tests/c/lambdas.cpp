// C++ lambdas that a script calls.
#include <cmath>
#include <cstdio>
#include <fstream>

#include "vhpy.hpp"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: not true: %s; last error: %s\n", __FILE__, __LINE__,      \
                         #condition, vhpy_last_error());                                           \
            std::exit(1);                                                                          \
        }                                                                                          \
    } while (0)

static const char script[] = R"(
import vh

def run():
    assert vh.call("distance", 0, 0, 3.0, 4) == 5.0
    assert vh.call("greet", "alice", 2) == "alice alice "
    assert vh.call("top", ["a", "b"]) == ["b", "a"]
    assert vh.call("count") == 1 and vh.call("count") == 2
    assert vh.call("nothing", None) is None
    place = vh.GetGeoIP("1.2.3.4")
    assert place["latitude"] == 64.1 and place["area_code"] == 2, place
    assert place["city"] == "Reykjavik, which is far away" and place["country_code"] == "IS", place
    for args, reason in (((1,), "takes 4 arguments, got 1"), ((1, 2, 3, "x"), "argument 4 must be float")):
        try:
            vh.call("distance", *args)
        except RuntimeError as error:
            assert reason in str(error), error
        else:
            raise AssertionError(reason)
    return 1
)";

// As the hubs answer that the ABI comes from: more names and texts in a vector made by new.
static w_Targs *geo(int, w_Targs *)
{
    auto *more = new std::vector<std::string>{"city", "Reykjavik, which is far away", "country_code", "IS"};
    return w_pack("sdsdslslp", strdup("latitude"), 64.1, strdup("longitude"), -21.9, strdup("metro_code"), 1L,
                  strdup("area_code"), 2L, static_cast<void *>(more));
}

int main()
{
    std::string folder = "/tmp/vhpy-lambdas-XXXXXX";
    CHECK(mkdtemp(folder.data()));
    const std::string path = folder + "/lambdas.py";
    std::ofstream(path) << script;
    w_Tcallback table[W_CALL_PLACES] = {};
    table[W_CALL_GetGeoIP] = geo;
    CHECK(w_Begin(table));
    const int id = vhpy_load(path.c_str());
    CHECK(id >= 0);
    CHECK(vhpy::register_function(id, "distance", [](double x1, double y1, double x2, double y2) {
        return std::hypot(x2 - x1, y2 - y1);
    }));
    CHECK(vhpy::register_function(id, "greet", [](const std::string &nick, int times) {
        std::string text;
        while (times-- > 0)
            text += nick + " ";
        return text;
    }));
    CHECK(vhpy::register_function(id, "top", [](std::vector<std::string> list) {
        return std::vector<std::string>(list.rbegin(), list.rend());
    }));
    CHECK(vhpy::register_function(id, "count", [count = 0L]() mutable { return ++count; }));
    CHECK(vhpy::register_function(id, "nothing", [](const char *text) { return text; }));
    w_Targs *result = w_CallFunction(id, "run", nullptr);
    CHECK(result);
    w_free_args(result);
    CHECK(w_End());
    std::remove(path.c_str());
    std::remove(folder.c_str());
    std::puts("lambdas: good");
}
