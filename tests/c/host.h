/* The test host: a hub in plain C that finds everything in libvhpy.so by name, as old hubs
 * do. This file is what its parts share. */
#ifndef HOST_H
#define HOST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhpy.h"

/* Ends the run with the place and the values' reason when a condition does not hold. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__FILE__, __LINE__, #condition);                                                  \
    } while (0)

/* The same for two strings, either of which may be NULL. */
#define CHECK_TEXT(have, want) check_text(__FILE__, __LINE__, #have, have, want)

void fail(const char *file, int line, const char *condition);
void check_text(const char *file, int line, const char *what, const char *have, const char *want);

/* The library's functions. */
struct library {
    int (*Begin)(w_Tcallback *);
    int (*End)(void);
    int (*ReserveID)(void);
    int (*Load)(w_Targs *);
    int (*Unload)(int);
    int (*HasHook)(int, int);
    w_Targs *(*CallHook)(int, int, w_Targs *);
    w_Targs *(*CallFunction)(int, const char *, w_Targs *);
    int (*RegisterFunction)(int, const char *, w_Tcallback);
    int (*UnregisterFunction)(int, const char *);
    w_Targs *(*pack)(const char *, ...);
    int (*unpack)(w_Targs *, const char *, ...);
    void (*free_args)(w_Targs *);
    const char *(*packprint)(w_Targs *);
    const char *(*HookName)(int);
    const char *(*CallName)(int);
    void *(*GetHook)(int);
    void (*LogLevel)(int);
    /* The better half. */
    void (*set_log)(vhpy_log_function, void *);
    const char *(*last_error)(void);
    int (*event)(int, const w_Telement *, size_t, vhpy_verdict *);
    void (*verdict_free)(vhpy_verdict *);
    int (*wants)(int);
    const char *(*hook_format)(int);
    const char *(*call_format)(int, int);
    int (*poll_fd)(void);
    int (*serve)(void);
    size_t (*status)(vhpy_script **);
    char *(*figures)(void);
    char *(*console)(const char *);
    int (*set_option)(const char *, const char *);
    int (*set_names)(const char *, const char *);
    int (*load)(const char *);
    int (*load_all)(const char *);
    int (*reload)(int);
    int (*find)(const char *);
    void (*free)(void *);
    w_Targs *(*vpack)(const char *, const w_Telement *);
    int (*vunpack)(w_Targs *, const char *, w_Telement *);
    int (*register_)(int, const char *, w_Targs *(*)(void *, w_Targs *), void *, void (*)(void *));
    void (*set_error)(const char *);
    const char *(*version)(void);
};
extern struct library vh;

/* Log lines since the last call, of errors and warnings. */
int log_lines(void);

/* The hub: its table, and what its functions saw. */
enum numbering { FIRST, SECOND };
enum lists { RAW, JSON };
extern w_Tcallback table[W_CALL_PLACES];
void fill_table(enum numbering numbering, enum lists lists);

/* What a place's function was called with last, as w_packprint shows it; "" if never. */
const char *seen(int place);
void forget_seen(void);
long calls_seen(void);

/* Starts the library with the whole table, and loads a script. */
void begin(enum numbering numbering, enum lists lists);
int load(const char *path);

/* Calls a function without arguments, which must give a number. */
long call_number(int id, const char *name);

/* Bytes that malloc has given out and not got back; 0 where that cannot be known. */
size_t allocated(void);

/* The runs, by their names on the command line. */
void run_pack(void);
void run_bad(void);
void run_cycle(void);
void run_numbering(const char *name, long count);
void run_basics(const char *script, long count);
void run_stress(const char *script, long count);
void run_messages(const char *script, long count);
void run_types(const char *script, long count);
void run_calls(const char *script, long count);
void run_dynamic(const char *script, long count);
void run_recovery(const char *script, long count);
void run_leaks(const char *script, long count);
void run_fork(const char *script, long count);
void run_signals(const char *script, long count);
void run_plugin(const char *script, long count);
void run_old_ways(const char *script, long count);
void run_visits(const char *script, long count);

#endif
