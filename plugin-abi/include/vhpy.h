/* vhpy.h - the C ABI of libvhpy.so: Python scripts for a hub, each in a process of its own.
 *
 * Two sets of functions:
 *   w_*     what hubs call that were made for libvh_python_wrapper.so. They find them with
 *           dlsym, and need nothing from this file.
 *   vhpy_*  what a hub made for this library wants besides: one event for all scripts at
 *           once, a descriptor to poll, lists, the operators' commands, options.
 * Both work on the same scripts and can be mixed.
 *
 * Threads. Every function may be called from any thread. One thread is inside at a time, the
 * others wait for it; a callback runs on the thread that is inside, and may itself call
 * every function but w_Begin. A callback must return: no longjmp, no C++ exception.
 *
 * Signals. A handler that interrupts a thread inside the library, and not in a callback, gets
 * the value of a failure at once, for an event "go on", and nothing is done or logged.
 *
 * Visits. Whichever function a hub calls, scripts that died are noticed then, those that are due
 * are started again, those that are late are ended, and calls that scripts' threads made are
 * served, which calls functions of the table: within 20 ms of such calls, and in no thread of
 * the library's own. Only vhpy_wants never calls a function of the hub.
 *
 * Text is bytes in the hub's encoding (option "encoding"), ended by NUL.
 *
 * Failures. A function that fails returns the value given below, writes one line to the log
 * and keeps the reason for vhpy_last_error. NULL where it is not allowed, unknown numbers and
 * wrong formats are such failures and nothing worse.
 *
 * Forks. A hub that forks after loading scripts, to become a daemon, keeps them: the first
 * call in the child starts them anew there and waits until they have loaded. vhpy_poll_fd is
 * another one then.
 *
 * Copyright: the vhpy authors. License: GPL-3.0-or-later.
 */
#ifndef VHPY_H
#define VHPY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Anonymous unions are C11, flexible arrays are no C++; all compilers that matter have both. */
#if defined(__GNUC__)
#define VHPY_EXTENSION __extension__
#else
#define VHPY_EXTENSION
#endif

/* ---------------------------------------------------------------- values */

/* The letters of a format:
 *   l  long            int, bool          s  char *   str; NULL is None
 *   d  double          float              p  void *   an address; an int in Python
 *   L  char **         list of str, ended by NULL
 *   D  char *          JSON text: any list, dict or other JSON value
 *   O  void *          an object that stays in its script's process: a handle, not an
 *                      address. Passed back to the script, it is the same object.
 */
typedef struct {
    char type; /* the letter */
    VHPY_EXTENSION union {
        long l;
        char *s;
        double d;
        void *p;
        char **L;
        void *O;
    };
} w_Telement;

typedef struct {
    const char *format; /* a letter for each element */
#if defined(__cplusplus)
    w_Telement args[1]; /* as many as letters; do not use sizeof */
#else
    w_Telement args[];
#endif
} w_Targs;

/* A function of the host. It gets the calling script's id (or -1: see w_RegisterFunction)
 * and arguments that are the library's: valid until it returns, not to be freed.
 *
 * It returns NULL when the call failed, or a structure from w_pack, which becomes the
 * library's. So do the strings and lists in it, which must each be a block from malloc of
 * its own, as strdup gives. Literals, static buffers and pointers into the arguments are
 * recognised and left alone; memory from malloc that the host means to keep is not. */
typedef w_Targs *(*w_Tcallback)(int script_id, w_Targs *args);

/* Builds a structure. Strings and lists are borrowed: they must live as long as it does,
 * and are not freed with it. NULL when the format has an unknown letter.
 * Pass a long for l (0L, not 0) and a double for d: C checks nothing here. */
w_Targs *w_pack(const char *format, ...);

/* Reads a structure: w_unpack(args, "sl|d", &text, &number, &more). What follows the bar may
 * be missing and is NULL or 0 then. Pointers lead into the structure and live as long. 1, or
 * 0 with nothing written when the formats do not match.
 *
 * D asked of an L, and L of a D that is an array of strings, convert in place: pointers
 * that were got from the element before are no longer valid. */
int w_unpack(w_Targs *args, const char *format, ...);

/* Frees a structure and what it owns: everything in a result, nothing of what w_pack
 * borrowed. A result may instead be freed in parts: each string, each list's strings and the
 * list, then the structure, with free. NULL is allowed. */
void w_free_args(w_Targs *args);

/* A structure as text, at most 1,023 bytes. Valid until this thread's next call. */
const char *w_packprint(w_Targs *args);

/* w_pack and w_unpack without variable arguments, for other languages: one element for each
 * letter. vhpy_pack needs only the elements' values; vhpy_unpack fills letters and values. */
w_Targs *vhpy_pack(const char *format, const w_Telement *values);
int vhpy_unpack(w_Targs *args, const char *format, w_Telement *values);

/* ---------------------------------------------------------------- life */

/* Starts, with a table of 100 callbacks, NULL where the hub lacks one. The table is the
 * hub's and must stay where it is until w_End: a place is read when it is used, so entries
 * may be set or taken away later. The numbers are those of W_CALL_* below. 1, or 0.
 *
 * A later table has GetIPCity at 22 and everything after it one higher. Which of the two it
 * is shows in the three places that no hub fills (42 to 44, or 43 to 45); the environment
 * variable VHPY_ABI=1.6 or 1.7 overrides. With the later one, a list of str is D, not L. */
int w_Begin(w_Tcallback *callbacks);

/* Unloads every script; no process is left behind. w_Begin may follow. 1, or 0 when nothing
 * was begun. */
int w_End(void);

/* How much vhpy says itself: 0 errors, 1 warnings too, 2 (the default) what becomes of
 * scripts too, 3 every change of a script's state, 4 and 5 everything. What scripts print is
 * not affected: that is the option log_level's, which also sets this anew. */
void w_LogLevel(int level);

/* ---------------------------------------------------------------- scripts */

/* The id that the next w_Load will use, or -1. Ids are small, and used again only after an
 * unload. */
int w_ReserveID(void);

/* Loads a script: format "lssssls" with its id (from w_ReserveID; -1 takes the next), path,
 * and what it sees as vh.botname, vh.opchatname, vh.basedir, vh.starttime and
 * vh.config_name (NULL: the options' values). The id, or -1. */
int w_Load(w_Targs *args);

/* 1, or 0 for an unknown id. */
int w_Unload(int id);

/* ---------------------------------------------------------------- events */

/* Whether a script defines a hook: 1 or 0. Quick; takes the lock, and serves, only once in a few
 * milliseconds or in 256 calls. */
int w_HasHook(int id, int hook);

/* One event to one script. The arguments are passed on as they are, whatever their format;
 * vhpy_hook_format has the one that scripts expect. The result is NULL when there is no such
 * script, hook or letter, else it has one of these formats:
 *   l      0 blocks, everything else goes on; 1 also from a script without the hook
 *   ss     OnParsedMsgChat: go on with another nick, message (NULL keeps the original)
 *   sssss  OnParsedMsgMyINFO, OnFirstMyINFO: another desc, tag, speed, mail, size
 *   sl     send the string to the connection that the event came from; the number as l */
w_Targs *w_CallHook(int id, int hook, w_Targs *args);

/* NULL: a script's function has no address in this process. */
void *w_GetHook(int hook);

/* The name of a hook; of a place in the table of callbacks. NULL for other numbers. */
const char *w_HookName(int hook);
const char *w_CallName(int place);

/* ---------------------------------------------------------------- functions */

/* Calls a top-level function of a script; args may be NULL. The result has one element: int
 * and bool are l, float d, str s, None l 0, a list of str L, every other container D,
 * any other object O. NULL when the function is missing, raises, or takes longer than the
 * option hook_timeout. */
w_Targs *w_CallFunction(int id, const char *name, w_Targs *args);

/* Gives one script a function that it calls as vh.CallDynamicFunction(name, ...), also after
 * a restart, until it is unloaded. With an id from w_ReserveID before its w_Load, the script
 * has the function from its first line on. The callback's first argument is -1. Arguments are as in
 * w_CallFunction's results, but None is NULL and can be unpacked as any type. One element is
 * the script's value, several are a list, none is None. NULL is a RuntimeError, with the
 * text of vhpy_set_error if that was called. 1, or 0. */
int w_RegisterFunction(int id, const char *name, w_Tcallback function);

/* Takes it away. 1, or 0 when there is none. */
int w_UnregisterFunction(int id, const char *name);

/* The same, with data that every call gets. drop (or NULL) is called once with the data when
 * it is no longer needed, also if this fails. */
int vhpy_register(int id, const char *name, w_Targs *(*function)(void *data, w_Targs *args),
                  void *data, void (*drop)(void *data));

/* The reason for the NULL that a function of the host is about to return. */
void vhpy_set_error(const char *reason);

/* ---------------------------------------------------------------- for new hosts */

/* The library's version, such as "0.1.0". */
const char *vhpy_version(void);

/* Why this thread's last failed call failed; "" if none did. Valid until its next failure. */
const char *vhpy_last_error(void);

/* Frees a block that the library gave. NULL is allowed. */
void vhpy_free(void *block);

/* Sets an option, before w_Begin or later. 1, or 0. The environment variable VHPY_NAME, in
 * capitals, does the same for hubs that do not know this function.
 * (begin of the options)
 *   hook_timeout     How many seconds the hub waits for one hook or function of a script.
 *                    (2)
 *   kill_timeout     How many seconds a stuck script has to come back before it is killed.
 *                    (10)
 *   load_timeout     How many seconds a script has to load. (30)
 *   restart_wait     How many seconds events wait for a script that just died or is
 *                    reloaded, within its hook_timeout. (0.25)
 *   when_away        Whether events that a script hooks go on without it (pass) or are
 *                    blocked (block) while it cannot answer: after restart_wait, when it is
 *                    stuck, late, or has died. (pass)
 *   restart_limit    After how many deaths in a minute a script is given up. (5)
 *   limit_memory     How many MiB of address space a script may use, from its next start
 *                    on; the interpreter takes about 40; none is no limit. (none)
 *   limit_cpu        How many seconds of processor time a script's process may use; none is
 *                    no limit. (none)
 *   limit_files      How many files a script may have open; none is no limit. (none)
 *   limit_processes  How many processes and threads the hub's user may have when a script
 *                    starts one; none is no limit. (none)
 *   nice             How much nicer than the hub scripts are, 0 to 19. (0)
 *   slow_hook        How many seconds a hook may take before operators are told, once a
 *                    minute for each. (0.1)
 *   spare            Whether a started interpreter waits to take over a script. (1)
 *   stay_awake       Whether hub and scripts spin for up to 0.1 ms before they sleep: 0
 *                    saves processor time and costs speed. (1)
 *   log_level        How much is logged: 0 errors, 1 warnings, 2 what scripts print, 3
 *                    every change of a script's state, 4 and 5 everything. (2)
 *   python           The interpreter of scripts that have no .venv beside them; empty is
 *                    python3 on the PATH.
 *   worker           Where libvh_worker.so is; empty is beside the library.
 *   metrics          Where metrics can be read over HTTP: ADDRESS:PORT; empty is nowhere.
 *   control          Where the control socket is, for vhpy ctl; empty is none.
 *   control_group    The group that may use the control socket besides its user; empty is
 *                    none.
 *   scripts_dir      The hub's folder of scripts: second on every script's sys.path, after
 *                    its own folder.
 *   store_dir        Where scripts' stores are kept; empty keeps them in memory only.
 *   encoding         The hub's encoding as Python names it: utf-8, cp1251, ….
 *   basedir          vh.basedir.
 *   config_name      vh.config_name.
 *   starttime        vh.starttime: seconds since 1970.
 *   botname          vh.botname, in the hub's encoding.
 *   opchatname       vh.opchatname, in the hub's encoding.
 * (end of the options) */
int vhpy_set_option(const char *name, const char *value);

/* The name of the option at this place, from 0 on, among those that operators may change while
 * the hub runs; NULL after the last. */
const char *vhpy_option_name(int place);

/* An option's value as vhpy_set_option takes it, to be freed with vhpy_free; NULL for a name
 * that there is not. */
char *vhpy_option(const char *name);

/* The bots' names, which scripts see as vh.botname and vh.opchatname; NULL keeps one. 1, or
 * 0. */
int vhpy_set_names(const char *botname, const char *opchatname);

/* Where log lines go; NULL is standard error. The function may be called on any thread, with
 * a level as in w_LogLevel and one line of UTF-8, and must not call the library. Set NULL
 * before the code of the function is unloaded. */
typedef void (*vhpy_log_function)(void *data, int level, const char *line);
void vhpy_set_log(vhpy_log_function function, void *data);

/* Loads a script with the options' names. Its id, or -1, also when the file is loaded
 * already; w_Load loads it again. */
int vhpy_load(const char *path);

/* Loads all files *.py of a folder at the same time, with ids in the order of their names.
 * How many were loaded; the others are logged. -1 when the folder cannot be read. */
int vhpy_load_all(const char *folder);

/* Loads a script anew from its file. The id, or -1. */
int vhpy_reload(int id);

/* The same without waiting: what is begun here is a ticket, greater than 0; or -1, and nothing was
 * begun. It goes on whenever the library is called; vhpy_poll_fd becomes readable when something
 * is to be done for it. When it has ended, the function of vhpy_set_done is called, by the thread
 * that is in the library, with the script's id, or -1 where it was not loaded, and a text in UTF-8:
 * why not, or warnings. After vhpy_begin_unload the id is -1 and the text empty. While a script is
 * reloaded, the version before serves until the new one's source was compiled; then events that it
 * hooks wait for it, restart_wait at most in all; after that when_away decides. */
typedef void (*vhpy_done_function)(void *data, long long ticket, int id, const char *text);

/* Who is told of what was begun, until w_End. NULL: nobody. 1, or 0 before w_Begin. */
int vhpy_set_done(vhpy_done_function function, void *data);

long long vhpy_begin_load(const char *path);
long long vhpy_begin_reload(int id);
long long vhpy_begin_unload(int id);

/* As vhpy_console. NULL and *ticket greater than 0: the answer is the text of that ticket. */
char *vhpy_begin_console(const char *command, long long *ticket);

/* The script that an operator means by an id, a name with or without .py, or a path; -1. */
int vhpy_find(const char *what);

/* What all scripts together answered to one event. */
typedef struct {
    int blocked;  /* 1: a script blocked it */
    int replaces; /* 0 nothing, 1 nick and message, 2 desc, tag, speed, mail and size */
    char *parts[5]; /* what to go on with, in that order; NULL keeps the original */
    char *send;   /* protocol data for the connection that the event came from, or NULL */
    size_t send_length;
} vhpy_verdict;

/* One event to all scripts that define the hook, which work on it at the same time. args are
 * count elements with their types set, as vhpy_hook_format says; strings are borrowed. 1: go
 * on; 0: blocked. Also 1 when it failed, so that a defect stops no user.
 * verdict is filled in any case and must be freed, unless it is NULL. */
int vhpy_event(int hook, const w_Telement *args, size_t count, vhpy_verdict *verdict);
void vhpy_verdict_free(vhpy_verdict *verdict);

/* Whether any script defines the hook: 1 or 0. Quick; ask before building arguments. Notices
 * deaths, starts again and ends what is due, but calls no function of the hub. */
int vhpy_wants(int hook);

/* The format of a hook's arguments; of what a callback at a place of the table takes
 * (answer 0) or answers (answer 1). NULL for other numbers. */
const char *vhpy_hook_format(int hook);
const char *vhpy_call_format(int place, int answer);

/* A descriptor that is readable when vhpy_serve has something to do, for the hub's own poll
 * or epoll; level-triggered. -1 before w_Begin. It is the library's: do not read or close
 * it. It changes with w_Begin and after a fork. */
int vhpy_poll_fd(void);

/* Serves calls that scripts made between events, notices scripts that died, restarts those
 * that are due. 1, or 0. A hub without poll calls it in its timer. */
int vhpy_serve(void);

/* One script, for lists. */
typedef struct {
    int id;
    const char *name;
    const char *path;
    const char *state; /* "ready", "starting", "stuck", "debugged", "backoff", "stopping", "failed" */
    long pid;          /* 0: none */
    double uptime;     /* seconds */
    long long restarts;
    long long events;
    long long memory; /* resident bytes; 0: unknown */
} vhpy_script;

/* All scripts in load order: how many, and an array in one block, texts included, to be
 * freed with vhpy_free. */
size_t vhpy_status(vhpy_script **scripts);

/* All scripts in load order and how each does, as JSON: a list of objects with id, name, path,
 * title, version, state, pid, uptime_seconds, restarts, events, memory_bytes, blocked, raised, late,
 * calls, seconds, longest_seconds, longest_in, cpu_seconds and hooks, a list of objects with hook,
 * events, blocked, raised, late, seconds, longest_seconds and buckets, pairs of a bound in seconds
 * and the number of calls up to it, not counting those of the pair before. What is not known is
 * null. UTF-8, to be freed with vhpy_free; NULL on failure. */
char *vhpy_figures(void);

/* Runs an operator's command, such as "pylist" or "!pyreload name". The text to show, in
 * UTF-8, to be freed with vhpy_free; NULL when it is none of this plugin's commands. */
char *vhpy_console(const char *command);

/* Whether vhpy_console would run this: 1 or 0. */
int vhpy_is_command(const char *command);

/* A number that is another one whenever scripts may have other commands (@vh.command); 0 on failure.
 * Unless it is NULL, entries is set to the $UserCommand messages, each with its "|", in the hub's
 * encoding, which put those that a user of this class may give into a client's menu; to be freed
 * with vhpy_free, NULL on failure. Clients that know them have UserCommand in their $Supports. */
unsigned long long vhpy_menu(int user_class, char **entries);

/* Text from UTF-8 to the hub's encoding, and back; to be freed with vhpy_free. What an
 * encoding lacks becomes a question mark. NULL when there is no memory. */
char *vhpy_to_hub(const char *text);
char *vhpy_from_hub(const char *text);

/* ---------------------------------------------------------------- numbers */

/* Hooks: numbers for w_HasHook, w_CallHook, vhpy_event, vhpy_wants. */
enum {
    W_OnNewConn = 0,
    W_OnCloseConn = 1,
    W_OnCloseConnEx = 2,
    W_OnParsedMsgChat = 3,
    W_OnParsedMsgPM = 4,
    W_OnParsedMsgMCTo = 5,
    W_OnParsedMsgSearch = 6,
    W_OnParsedMsgSR = 7,
    W_OnParsedMsgMyINFO = 8,
    W_OnFirstMyINFO = 9,
    W_OnParsedMsgValidateNick = 10,
    W_OnParsedMsgAny = 11,
    W_OnParsedMsgAnyEx = 12,
    W_OnOpChatMessage = 13,
    W_OnPublicBotMessage = 14,
    W_OnUnLoad = 15,
    W_OnCtmToHub = 16,
    W_OnParsedMsgSupports = 17,
    W_OnParsedMsgMyHubURL = 18,
    W_OnParsedMsgExtJSON = 19,
    W_OnParsedMsgBotINFO = 20,
    W_OnParsedMsgVersion = 21,
    W_OnParsedMsgMyPass = 22,
    W_OnParsedMsgConnectToMe = 23,
    W_OnParsedMsgRevConnectToMe = 24,
    W_OnUnknownMsg = 25,
    W_OnOperatorCommand = 26,
    W_OnOperatorKicks = 27,
    W_OnOperatorDrops = 28,
    W_OnOperatorDropsWithReason = 29,
    W_OnValidateTag = 30,
    W_OnUserCommand = 31,
    W_OnHubCommand = 32,
    W_OnScriptCommand = 33,
    W_OnUserInList = 34,
    W_OnUserLogin = 35,
    W_OnUserLogout = 36,
    W_OnTimer = 37,
    W_OnNewReg = 38,
    W_OnNewBan = 39,
    W_OnSetConfig = 40,
    W_HOOK_COUNT = 41
};

/* Places in the table for w_Begin. 42 to 44 and 56 stay NULL.
 *
 * users gets the names of fields with a blank between them, and gives a table as SQL does: a
 * row for everybody in the user list, NULL for what is missing. Hubs without it are asked for
 * each user and field. */
enum {
    W_CALL_SendToOpChat = 0,
    W_CALL_SendToActive = 1,
    W_CALL_SendToPassive = 2,
    W_CALL_SendToActiveClass = 3,
    W_CALL_SendToPassiveClass = 4,
    W_CALL_SendDataToUser = 5,
    W_CALL_SendDataToAll = 6,
    W_CALL_SendPMToAll = 7,
    W_CALL_CloseConnection = 8,
    W_CALL_GetMyINFO = 9,
    W_CALL_SetMyINFO = 10,
    W_CALL_GetUserClass = 11,
    W_CALL_GetUserHost = 12,
    W_CALL_GetUserIP = 13,
    W_CALL_SetUserIP = 14,
    W_CALL_SetMyINFOFlag = 15,
    W_CALL_UnsetMyINFOFlag = 16,
    W_CALL_GetUserHubURL = 17,
    W_CALL_GetUserExtJSON = 18,
    W_CALL_GetUserCC = 19,
    W_CALL_GetIPCC = 20,
    W_CALL_GetIPCN = 21,
    W_CALL_GetIPASN = 22,
    W_CALL_GetGeoIP = 23,
    W_CALL_GetNickList = 24,
    W_CALL_GetOpList = 25,
    W_CALL_GetBotList = 26,
    W_CALL_AddRegUser = 27,
    W_CALL_DelRegUser = 28,
    W_CALL_SetRegClass = 29,
    W_CALL_Ban = 30,
    W_CALL_KickUser = 31,
    W_CALL_DelNickTempBan = 32,
    W_CALL_DelIPTempBan = 33,
    W_CALL_ParseCommand = 34,
    W_CALL_ScriptCommand = 35,
    W_CALL_SetConfig = 36,
    W_CALL_GetConfig = 37,
    W_CALL_IsRobotNickBad = 38,
    W_CALL_AddRobot = 39,
    W_CALL_DelRobot = 40,
    W_CALL_SQL = 41,
    W_CALL_GetServFreq = 45,
    W_CALL_GetUsersCount = 46,
    W_CALL_GetTotalShareSize = 47,
    W_CALL_UserRestrictions = 48,
    W_CALL_Topic = 49,
    W_CALL_mc = 50,
    W_CALL_usermc = 51,
    W_CALL_classmc = 52,
    W_CALL_pm = 53,
    W_CALL_name_and_version = 54,
    W_CALL_StopHub = 55,
    W_CALL_COUNT = 56,
    W_CALL_users = 57,
    W_CALL_PLACES = 100
};

#ifdef __cplusplus
}
#endif

#endif
