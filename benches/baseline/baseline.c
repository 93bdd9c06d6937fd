/* What a hub pays for Python inside its own process: the yardstick for `vhpy bench`.
 *
 * It does the work that an in-process plugin with one sub-interpreter per script does for an
 * event: the arguments are packed into a structure on the heap, the GIL is taken, the thread
 * state of the script's interpreter is swapped in, the hook is looked up by name, a tuple is
 * built, the function is called, its result is converted, and all is given back. Calls of the
 * script go through a table of callbacks, with the GIL released meanwhile. Containers travel
 * as JSON text with a tree in between.
 *
 * One thread only: the one that called baseline_begin().
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "baseline.h"

enum { MAX_SCRIPTS = 256, MAX_CALLS = 64, GET_USER_CLASS = 11 };

typedef struct {
	char type;
	union {
		long l;
		char *s;
		double d;
		char **list;
	};
} element;

typedef struct {
	char *format;
	element args[];
} packed;

typedef packed *(*callback)(int call, packed *args);

typedef struct {
	PyThreadState *state;
	PyObject *module;
	char has_hook;
} script;

static const char *const HOOK = "OnParsedMsgChat";
static script *scripts[MAX_SCRIPTS];
static callback callbacks[MAX_CALLS];

/* ------------------------------------------------------------ packed arguments */

static packed *pack(const char *format, ...)
{
	size_t count = strlen(format);
	packed *to = calloc(1, sizeof *to + count * sizeof(element));
	if (!to)
		return NULL;
	to->format = strdup(format);
	va_list from;
	va_start(from, format);
	for (size_t i = 0; i < count; i++) {
		element *arg = &to->args[i];
		arg->type = format[i];
		switch (format[i]) {
		case 'l': arg->l = va_arg(from, long); break;
		case 'd': arg->d = va_arg(from, double); break;
		case 'L': arg->list = va_arg(from, char **); break;
		default: arg->s = va_arg(from, char *); break;
		}
	}
	va_end(from);
	return to;
}

/* Whether the result is one number. */
static int unpack_long(const packed *from, long *to)
{
	if (!from || !from->format || strcmp(from->format, "l") != 0)
		return 0;
	*to = from->args[0].l;
	return 1;
}

/* Frees what a result owns: its strings, but not those of arguments. */
static void free_packed(packed *it, int owns_strings)
{
	if (!it)
		return;
	for (size_t i = 0; owns_strings && it->format[i]; i++)
		if (it->format[i] == 's' || it->format[i] == 'D')
			free(it->args[i].s);
	free(it->format);
	free(it);
}

/* ------------------------------------------------------------ JSON, by way of a tree */

typedef enum { J_NULL, J_BOOL, J_INT, J_DOUBLE, J_STRING, J_ARRAY, J_OBJECT } kind;

typedef struct node {
	kind kind;
	union {
		long long number;
		double real;
		char *text;
	};
	/* Of arrays and objects; an object's keys stand in its children. */
	struct node *children;
	size_t count, room;
	char *key;
} node;

static void free_node(node *it)
{
	for (size_t i = 0; i < it->count; i++)
		free_node(&it->children[i]);
	if (it->kind == J_STRING)
		free(it->text);
	free(it->children);
	free(it->key);
}

static node *add_child(node *to)
{
	if (to->count == to->room) {
		size_t room = to->room ? 2 * to->room : 8;
		node *grown = realloc(to->children, room * sizeof(node));
		if (!grown)
			return NULL;
		to->children = grown;
		to->room = room;
	}
	node *child = &to->children[to->count++];
	memset(child, 0, sizeof *child);
	return child;
}

typedef struct {
	char *at;
	size_t length, room;
} text;

static void put(text *to, const char *from, size_t length)
{
	if (to->length + length + 1 > to->room) {
		size_t room = 2 * (to->length + length) + 64;
		char *grown = realloc(to->at, room);
		if (!grown)
			return;
		to->at = grown;
		to->room = room;
	}
	memcpy(to->at + to->length, from, length);
	to->length += length;
	to->at[to->length] = 0;
}

static void put_string(text *to, const char *from)
{
	put(to, "\"", 1);
	while (*from) {
		size_t plain = strcspn(from, "\"\\\n\r\t");
		put(to, from, plain);
		from += plain;
		switch (*from) {
		case 0: continue;
		case '\n': put(to, "\\n", 2); break;
		case '\r': put(to, "\\r", 2); break;
		case '\t': put(to, "\\t", 2); break;
		default: put(to, "\\", 1); put(to, from, 1); break;
		}
		from++;
	}
	put(to, "\"", 1);
}

static void put_node(text *to, const node *from)
{
	char number[32];
	int length;
	switch (from->kind) {
	case J_NULL: put(to, "null", 4); break;
	case J_BOOL: from->number ? put(to, "true", 4) : put(to, "false", 5); break;
	case J_INT:
		length = snprintf(number, sizeof number, "%lld", from->number);
		put(to, number, (size_t)length);
		break;
	case J_DOUBLE:
		length = snprintf(number, sizeof number, "%.17g", from->real);
		put(to, number, (size_t)length);
		break;
	case J_STRING: put_string(to, from->text); break;
	case J_ARRAY:
	case J_OBJECT:
		put(to, from->kind == J_ARRAY ? "[" : "{", 1);
		for (size_t i = 0; i < from->count; i++) {
			if (i)
				put(to, ",", 1);
			if (from->kind == J_OBJECT) {
				put_string(to, from->children[i].key);
				put(to, ":", 1);
			}
			put_node(to, &from->children[i]);
		}
		put(to, from->kind == J_ARRAY ? "]" : "}", 1);
		break;
	}
}

static void skip_space(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static char *parse_string(const char **at)
{
	if (**at != '"')
		return NULL;
	const char *from = ++*at;
	text to = {0};
	put(&to, "", 0);
	for (;;) {
		size_t plain = strcspn(from, "\"\\");
		put(&to, from, plain);
		from += plain;
		if (*from == '"')
			break;
		if (!*from || !from[1]) {
			free(to.at);
			return NULL;
		}
		char c = from[1] == 'n' ? '\n' : from[1] == 'r' ? '\r' : from[1] == 't' ? '\t' : from[1];
		put(&to, &c, 1);
		from += 2;
	}
	*at = from + 1;
	return to.at;
}

static int parse_node(const char **at, node *to);

static int parse_children(const char **at, node *to, char end)
{
	++*at;
	skip_space(at);
	while (**at != end) {
		char *key = NULL;
		if (to->kind == J_OBJECT) {
			key = parse_string(at);
			skip_space(at);
			if (!key || *(*at)++ != ':') {
				free(key);
				return 0;
			}
		}
		node *child = add_child(to);
		if (!child)
			return 0;
		child->key = key;
		if (!parse_node(at, child))
			return 0;
		skip_space(at);
		if (**at == ',') {
			++*at;
			skip_space(at);
		}
	}
	++*at;
	return 1;
}

static int parse_node(const char **at, node *to)
{
	skip_space(at);
	switch (**at) {
	case '[': to->kind = J_ARRAY; return parse_children(at, to, ']');
	case '{': to->kind = J_OBJECT; return parse_children(at, to, '}');
	case '"':
		to->text = parse_string(at);
		to->kind = to->text ? J_STRING : J_NULL;
		return to->text != NULL;
	case 't': to->kind = J_BOOL; to->number = 1; *at += 4; return 1;
	case 'f': to->kind = J_BOOL; *at += 5; return 1;
	case 'n': *at += 4; return 1;
	}
	size_t length = strspn(*at, "+-0123456789.eE");
	if (!length)
		return 0;
	char *end;
	if (strcspn(*at, ".eE") < length) {
		to->kind = J_DOUBLE;
		to->real = strtod(*at, &end);
	} else {
		to->kind = J_INT;
		to->number = strtoll(*at, &end, 10);
	}
	*at += length;
	return 1;
}

static PyObject *node_to_python(const node *from)
{
	switch (from->kind) {
	case J_NULL: break;
	case J_BOOL: return PyBool_FromLong((long)from->number);
	case J_INT: return PyLong_FromLongLong(from->number);
	case J_DOUBLE: return PyFloat_FromDouble(from->real);
	case J_STRING: return PyUnicode_FromString(from->text);
	case J_ARRAY: {
		PyObject *list = PyList_New((Py_ssize_t)from->count);
		for (size_t i = 0; list && i < from->count; i++)
			PyList_SET_ITEM(list, (Py_ssize_t)i, node_to_python(&from->children[i]));
		return list;
	}
	case J_OBJECT: {
		PyObject *dict = PyDict_New();
		for (size_t i = 0; dict && i < from->count; i++) {
			PyObject *key = PyUnicode_FromString(from->children[i].key);
			PyObject *value = node_to_python(&from->children[i]);
			if (key && value)
				PyDict_SetItem(dict, key, value);
			Py_XDECREF(key);
			Py_XDECREF(value);
		}
		return dict;
	}
	}
	Py_RETURN_NONE;
}

static int python_to_node(PyObject *from, node *to)
{
	if (from == Py_None)
		return 1;
	if (PyBool_Check(from)) {
		to->kind = J_BOOL;
		to->number = from == Py_True;
	} else if (PyLong_Check(from)) {
		to->kind = J_INT;
		to->number = PyLong_AsLongLong(from);
	} else if (PyFloat_Check(from)) {
		to->kind = J_DOUBLE;
		to->real = PyFloat_AsDouble(from);
	} else if (PyUnicode_Check(from)) {
		const char *utf8 = PyUnicode_AsUTF8(from);
		if (!utf8)
			return 0;
		to->kind = J_STRING;
		to->text = strdup(utf8);
	} else if (PyList_Check(from)) {
		to->kind = J_ARRAY;
		for (Py_ssize_t i = 0; i < PyList_Size(from); i++) {
			node *child = add_child(to);
			if (!child || !python_to_node(PyList_GetItem(from, i), child))
				return 0;
		}
	} else if (PyDict_Check(from)) {
		to->kind = J_OBJECT;
		PyObject *key, *value;
		Py_ssize_t at = 0;
		while (PyDict_Next(from, &at, &key, &value)) {
			const char *utf8 = PyUnicode_AsUTF8(key);
			node *child = utf8 ? add_child(to) : NULL;
			if (!child)
				return 0;
			child->key = strdup(utf8);
			if (!python_to_node(value, child))
				return 0;
		}
	} else {
		return 0;
	}
	return 1;
}

static PyObject *json_to_python(const char *json)
{
	node tree = {0};
	PyObject *made = parse_node(&json, &tree) ? node_to_python(&tree) : NULL;
	free_node(&tree);
	return made;
}

static char *python_to_json(PyObject *from)
{
	node tree = {0};
	text to = {0};
	if (python_to_node(from, &tree))
		put_node(&to, &tree);
	free_node(&tree);
	return to.at;
}

/* ------------------------------------------------------------ from the script to the hub */

static packed *get_user_class(int call, packed *args)
{
	(void)call;
	return args->args[0].s ? pack("l", 3L) : NULL;
}

/* Which script calls: the module `vh` of its interpreter knows. */
static long caller(void)
{
	PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), "vh");
	if (!module || !PyObject_HasAttrString(module, "myid"))
		return -1;
	PyObject *id = PyObject_GetAttrString(module, "myid");
	long number = id && PyLong_Check(id) ? PyLong_AsLong(id) : -1;
	Py_XDECREF(id);
	return number >= 0 && number < MAX_SCRIPTS && scripts[number] ? number : -1;
}

static PyObject *vh_get_user_class(PyObject *self, PyObject *args)
{
	(void)self;
	if (caller() < 0)
		return PyErr_Format(PyExc_RuntimeError, "unknown script");
	if (PyTuple_Size(args) != 1 || !PyUnicode_Check(PyTuple_GetItem(args, 0)))
		return PyErr_Format(PyExc_TypeError, "GetUserClass takes one str");
	const char *nick = PyUnicode_AsUTF8(PyTuple_GetItem(args, 0));
	if (!nick)
		return NULL;
	packed *request = pack("s", strdup(nick));

	PyThreadState *state = PyThreadState_Get();
	PyEval_ReleaseThread(state);
	packed *result = callbacks[GET_USER_CLASS](GET_USER_CLASS, request);
	PyEval_AcquireThread(state);

	free_packed(request, 1);
	long number = 0;
	int found = unpack_long(result, &number);
	free_packed(result, 1);
	if (!found)
		Py_RETURN_NONE;
	return PyLong_FromLong(number);
}

static PyMethodDef vh_methods[] = {
	{"GetUserClass", vh_get_user_class, METH_VARARGS, NULL},
	{NULL, NULL, 0, NULL},
};

static struct PyModuleDef vh_module = {PyModuleDef_HEAD_INIT, "vh", NULL, -1, vh_methods, NULL, NULL, NULL, NULL};

/* ------------------------------------------------------------ the life of scripts */

int baseline_begin(const char *home)
{
	if (Py_IsInitialized())
		return 1;
	PyConfig config;
	PyConfig_InitPythonConfig(&config);
	config.install_signal_handlers = 0;
	config.parse_argv = 0;
	PyStatus status = PyConfig_SetBytesString(&config, &config.home, home);
	if (!PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	if (PyStatus_Exception(status))
		return 0;
	callbacks[GET_USER_CLASS] = get_user_class;
	PyEval_ReleaseThread(PyGILState_GetThisThreadState());
	return 1;
}

static int import(script *it, long id, const char *folder, const char *name)
{
	PyObject *vh = PyModule_Create(&vh_module);
	if (!vh)
		return 0;
	PyModule_AddIntConstant(vh, "myid", id);
	PyDict_SetItemString(PyImport_GetModuleDict(), "vh", vh);
	Py_DECREF(vh);
	PyObject *path = PyUnicode_FromString(folder);
	PyObject *search = PySys_GetObject("path");
	if (search && path)
		PyList_Insert(search, 0, path);
	Py_XDECREF(path);
	it->module = PyImport_ImportModule(name);
	if (!it->module)
		return 0;
	PyObject *hook = PyObject_GetAttrString(it->module, HOOK);
	it->has_hook = hook && PyCallable_Check(hook);
	PyErr_Clear();
	Py_XDECREF(hook);
	return 1;
}

int baseline_load(const char *folder, const char *name)
{
	int id = 0;
	while (id < MAX_SCRIPTS && scripts[id])
		id++;
	script *it = id < MAX_SCRIPTS ? calloc(1, sizeof *it) : NULL;
	if (!it)
		return -1;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyThreadState *hub = PyThreadState_Get();
	it->state = Py_NewInterpreter();
	int done = 0;
	if (it->state) {
		scripts[id] = it;
		done = import(it, id, folder, name);
		if (!done)
			PyErr_Print();
	}
	PyThreadState_Swap(hub);
	PyGILState_Release(gil);
	if (!done)
		baseline_unload(id);
	return done ? id : -1;
}

void baseline_unload(int id)
{
	script *it = scripts[id];
	if (!it)
		return;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyThreadState *hub = PyThreadState_Get();
	PyThreadState_Swap(it->state);
	Py_XDECREF(it->module);
	Py_EndInterpreter(it->state);
	PyThreadState_Swap(hub);
	PyGILState_Release(gil);
	scripts[id] = NULL;
	free(it);
}

/* ------------------------------------------------------------ from the hub to the script */

static PyObject *element_to_python(const element *from)
{
	switch (from->type) {
	case 'l': return PyLong_FromLong(from->l);
	case 'd': return PyFloat_FromDouble(from->d);
	case 's':
		if (!from->s)
			Py_RETURN_NONE;
		return PyUnicode_FromString(from->s);
	case 'D': return json_to_python(from->s);
	case 'L': {
		Py_ssize_t count = 0;
		while (from->list[count])
			count++;
		PyObject *list = PyList_New(count);
		for (Py_ssize_t i = 0; list && i < count; i++)
			PyList_SetItem(list, i, PyUnicode_FromString(from->list[i]));
		return list;
	}
	}
	return NULL;
}

static packed *result_to_packed(PyObject *from)
{
	if (PyLong_Check(from))
		return pack("l", PyLong_AsLong(from));
	if (PyFloat_Check(from))
		return pack("d", PyFloat_AsDouble(from));
	if (PyUnicode_Check(from)) {
		const char *utf8 = PyUnicode_AsUTF8(from);
		return pack("s", strdup(utf8 ? utf8 : ""));
	}
	if (from == Py_None)
		return pack("l", 0L);
	return pack("D", python_to_json(from));
}

static packed *call_inside(script *it, const char *name, const packed *params)
{
	PyObject *module = Py_NewRef(it->module);
	PyObject *function = PyObject_GetAttrString(module, name);
	packed *result = NULL;
	if (function && PyCallable_Check(function)) {
		size_t count = strlen(params->format);
		PyObject *args = PyTuple_New((Py_ssize_t)count);
		int good = args != NULL;
		for (size_t i = 0; good && i < count; i++) {
			PyObject *arg = element_to_python(&params->args[i]);
			good = arg && PyTuple_SetItem(args, (Py_ssize_t)i, arg) == 0;
		}
		PyObject *returned = good ? PyObject_CallObject(function, args) : NULL;
		Py_XDECREF(args);
		if (returned)
			result = result_to_packed(returned);
		Py_XDECREF(returned);
	}
	if (PyErr_Occurred())
		PyErr_Print();
	Py_XDECREF(function);
	Py_DECREF(module);
	return result;
}

static packed *call(int id, const char *name, const packed *params)
{
	script *it = scripts[id];
	if (!it)
		return NULL;
	PyGILState_STATE gil = PyGILState_Ensure();
	PyThreadState *hub = PyThreadState_Get();
	PyThreadState_Swap(it->state);
	packed *result = call_inside(it, name, params);
	PyThreadState_Swap(hub);
	PyGILState_Release(gil);
	return result;
}

int baseline_event(const int *ids, int count, const char *nick, const char *message)
{
	int answers = 0;
	packed *args = pack("ss", nick, message);
	for (int i = 0; i < count; i++) {
		script *it = scripts[ids[i]];
		if (!it || !it->has_hook)
			continue;
		packed *result = call(ids[i], HOOK, args);
		long go_on = 1;
		if (unpack_long(result, &go_on) && go_on)
			answers++;
		free_packed(result, 1);
	}
	free_packed(args, 0);
	return answers;
}

int baseline_add(int id, long a, long b, long *sum)
{
	packed *args = pack("ll", a, b);
	packed *result = call(id, "add", args);
	int done = unpack_long(result, sum);
	free_packed(result, 1);
	free_packed(args, 0);
	return done;
}

static char *take_text(packed *result)
{
	char *json = NULL;
	if (result && strcmp(result->format, "D") == 0) {
		json = result->args[0].s;
		result->args[0].s = NULL;
	}
	free_packed(result, 1);
	return json;
}

char *baseline_echo_list(int id, char **list)
{
	packed *args = pack("L", list);
	char *json = take_text(call(id, "echo", args));
	free_packed(args, 0);
	return json;
}

char *baseline_echo_json(int id, const char *json)
{
	packed *args = pack("D", json);
	char *back = take_text(call(id, "echo", args));
	free_packed(args, 0);
	return back;
}
