/* The in-process yardstick, as src/bench/baseline.rs calls it. */
#ifndef VHPY_BASELINE_H
#define VHPY_BASELINE_H

/* Starts the interpreter; `home` is its prefix. 1, or 0 on failure. */
int baseline_begin(const char *home);
/* Imports `name` from `folder` into an interpreter of its own. An id, or -1. */
int baseline_load(const char *folder, const char *name);
void baseline_unload(int id);
/* One chat event to these scripts. How many of them said "go on". */
int baseline_event(const int *ids, int count, const char *nick, const char *message);
/* add(a, b) of a script. 1, or 0 if it failed. */
int baseline_add(int id, long a, long b, long *sum);
/* echo(list) and echo(value) of a script: JSON from malloc, or NULL. */
char *baseline_echo_list(int id, char **list);
char *baseline_echo_json(int id, const char *json);

#endif
