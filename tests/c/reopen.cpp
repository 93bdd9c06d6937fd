// A hub in C++ whose plugin opens the library with RTLD_GLOBAL, closes it and opens it again.
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <thread>

#include "vhpy.h"

template <class F> static F *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        std::fprintf(stderr, "%s: %s\n", name, dlerror());
        std::exit(1);
    }
    return reinterpret_cast<F *>(found);
}

#define FIND(name) find<decltype(name)>(library, #name)
#define CHECK(condition) ((condition) ? (void)0 : (std::fprintf(stderr, "%d: %s\n", __LINE__, #condition), std::exit(1)))

int main(int, char **argv)
{
    for (int round = 0; round < 10; round++) {
        void *library = dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL);
        CHECK(library);
        w_Tcallback table[W_CALL_PLACES] = {};
        CHECK(FIND(w_Begin)(table) == 1);
        std::thread([&] { // leaves thread-local data behind
            w_Targs *args = FIND(w_pack)("sl", "text", 5L);
            CHECK(FIND(w_packprint)(args)[0]);
            CHECK(FIND(w_HasHook)(0, 0) == 0);
            CHECK(!FIND(w_CallFunction)(0, "f", args));
            std::free(args);
        }).join();
        if (round % 2 == 0)
            CHECK(FIND(w_End)() == 1);
        CHECK(dlclose(library) == 0);
    }
    std::puts("reopen: good");
}
