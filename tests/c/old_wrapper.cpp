// What the old plugin takes from its wrapper library: the C++ function by linking, the C
// functions by dlopen and dlsym, from one file.
#include <dlfcn.h>
#include <cstdio>
#include <string>
#include <vector>

namespace nVerliHub {
namespace nPythonPlugin {
std::string stringListToJson(const std::vector<std::string> &list);
}
} // namespace nVerliHub

static int check(const std::vector<std::string> &list, const std::string &want)
{
    std::string have = nVerliHub::nPythonPlugin::stringListToJson(list);
    have += "";
    if (have == want)
        return 0;
    fprintf(stderr, "%s is not %s\n", have.c_str(), want.c_str());
    return 1;
}

int main(int argc, char **argv)
{
    void *wrapper = argc == 2 ? dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL) : nullptr;
    if (!wrapper || !dlsym(wrapper, "w_Begin") || !dlsym(wrapper, "w_packprint")) {
        fprintf(stderr, "%s\n", wrapper ? "w_Begin is missing" : dlerror());
        return 1;
    }
    std::vector<std::string> many(1000, "a nick that is longer than a short string");
    std::string long_list = "[";
    for (const std::string &nick : many)
        long_list += (long_list.size() > 1 ? ",\"" : "\"") + nick + "\"";
    return check({}, "[]") + check({"a"}, "[\"a\"]") + check({"a\"b", "", "c\\"}, "[\"a\\\"b\",\"\",\"c\\\\\"]") +
           check(many, long_list + "]");
}
