# What scripts declare: `vh.when` and `vh.command`. Run once, when a script first uses one of them.
#
# `vh` is the module; `hooks` has for each hook its number, the names of its arguments that are
# texts with their places, the one that is meant when none is named, and whether it has a nick.
import contextvars

RELATIONS = ("startswith", "endswith", "contains", "matches")

declared = []  # (name, function): what has a filter
warnings = []
commands = {}  # by name


def texts(keyword, value):
    """The texts of a keyword: one, or those of a list."""
    found = [value] if isinstance(value, str) else list(value)
    if not found:
        raise ValueError(f"vh.when(): {keyword} has no text, so nothing would ever match")
    for text in found:
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TypeError(f"vh.when(): {keyword} is a text or a list of texts, not {kind}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"vh.when(): {keyword} has a character that is half of a pair: {text!a}") from None
    return found


def when(*, startswith=None, endswith=None, contains=None, matches=None, min_class=None,
         ignore_case=False, arg=None):
    given = zip(RELATIONS, (startswith, endswith, contains, matches))
    tests = [(number, texts(keyword, value)) for number, (keyword, value) in enumerate(given)
             if value is not None]
    if not tests and min_class is None:
        raise TypeError("vh.when() needs a keyword: startswith, endswith, contains, matches or min_class")
    if min_class is not None and not isinstance(min_class, int):
        raise TypeError(f"vh.when(): min_class is a number, not {type(min_class).__name__}")
    if not (arg is None or isinstance(arg, str)):
        raise TypeError(f"vh.when(): arg is the name of an argument, not {type(arg).__name__}")
    clause = (min_class, bool(ignore_case), arg, tests)
    # Any hook with a nick will do: this finds what is wrong with patterns.
    vh._check_filters([[3, [[min_class, [[number, 1, bool(ignore_case), found] for number, found in tests]]]]])

    def mark(function):
        try:
            function.__vh_when__ = [*getattr(function, "__vh_when__", ()), clause]
        except AttributeError:
            kind = type(function).__name__
            raise TypeError(f"vh.when() is for functions that the script defines, not for a {kind}") from None
        name = getattr(function, "__name__", None)
        if name in hooks:
            before = getattr(function, "__globals__", {}).get(name)
            if callable(before):
                twice(name)
            declared.append((name, function))
        return function

    return mark


def twice(name):
    text = (f"{name} is defined twice, and only the last one is called: use one function, "
            "with a vh.when above it for each kind of event")
    if text not in warnings:
        warnings.append(text)


def filter_of(name, function):
    """The filter of a hook as it travels, or None."""
    clauses = getattr(function, "__vh_when__", None)
    if not clauses:
        return None
    number, places, usual, has_nick = hooks[name]
    made = []
    for min_class, ignore_case, arg, tests in clauses:
        if arg is not None and arg not in places:
            has = ", ".join(places) or "none"
            raise ValueError(f"{name}: vh.when(arg={arg!r}): its arguments with text are: {has}")
        if tests and arg is None and usual is None:
            raise ValueError(f"{name} has no text that vh.when() could look at")
        if min_class is not None and not has_nick:
            raise ValueError(f"{name}: vh.when(min_class=…) is for hooks that have a nick")
        at = places.get(arg, usual)
        made.append([min_class, [[number_, at, ignore_case, found] for number_, found in tests]])
    return [number, made]


def load_warnings(scope):
    """What to say about the declarations when the script has run."""
    for name, function in declared:
        now = scope.get(name)
        while now is not None and now is not function:
            now = getattr(now, "__wrapped__", None)
        if now is None and callable(scope.get(name)):
            twice(name)
    declared.clear()
    return warnings


def table(encoding):
    """Which character each byte is, where each is one."""
    import codecs
    import importlib

    name = codecs.lookup(encoding).name
    if name == "iso8859-1":
        return list(range(256))
    if name == "ascii":
        return [byte if byte < 128 else 0xDC00 + byte for byte in range(256)]
    chars = getattr(importlib.import_module("encodings." + name.replace("-", "_")), "decoding_table", None)
    if not isinstance(chars, str):
        return None
    chars = chars.ljust(256, "\ufffe")
    return [0xDC00 + byte if char == "\ufffe" else ord(char) for byte, char in enumerate(chars)]


# ------------------------------------------------------------------- commands

#: Nick and whether it was a private message, of the command that is being answered.
asked = contextvars.ContextVar("vh.asked", default=None)

YES, NO = ("1", "yes", "on", "true"), ("0", "no", "off", "false")
VARARGS, COROUTINE = 0x4, 0x80


class Misfit(Exception):
    """What was typed does not fit the function."""


def a_bool(word):
    if word.lower() in YES + NO:
        return word.lower() in YES
    raise ValueError(word)


KINDS = {"int": int, "float": float, "str": str, "bool": a_bool, int: int, float: float, str: str, bool: a_bool}


class Param:
    def __init__(self, name, kind, default):
        self.name, self.default = name, default
        if isinstance(kind, str):
            kind = kind.replace("Optional[", "").rstrip("]").split("|")[0].strip()
        self.convert = KINDS.get(kind, kind if callable(kind) else str)

    def value(self, word):
        try:
            return self.convert(word)
        except Exception:
            raise Misfit from None


NOTHING = object()


class Command:
    def __init__(self, name, function, help, min_class):
        self.name, self.function, self.help, self.min_class = name, function, help, min_class
        inner = function
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        code = getattr(inner, "__code__", None)
        if code is None:
            raise TypeError("vh.command() is for functions that the script defines")
        names = code.co_varnames[:code.co_argcount]
        defaults = inner.__defaults__ or ()
        defaults = (NOTHING,) * (len(names) - len(defaults)) + tuple(defaults)
        kinds = getattr(inner, "__annotations__", {})
        params = [Param(name, kinds.get(name, str), default) for name, default in zip(names, defaults)]
        self.takes_nick, self.params = bool(params), params[1:]
        self.is_async = bool(code.co_flags & COROUTINE)
        self.words = None
        if code.co_flags & VARARGS:
            name = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
            self.words = Param(name, kinds.get(name, str), NOTHING)
        if not params and self.words:
            raise TypeError(f"vh.command({name!r}): the first parameter is the nick, then come the words")
        last = self.params[-1] if self.params else None
        #: Whether the last parameter takes the rest of the line.
        self.takes_rest = last is not None and last.convert is str and self.words is None
        if last is not None and last.name == "args" and last.default is NOTHING and self.takes_rest:
            last.default = ""

    @property
    def usage(self):
        parts = [f"[{param.name}]" if param.default is not NOTHING else param.name for param in self.params]
        if self.words:
            parts.append(f"[{self.words.name} …]")
        return " ".join(parts)

    def arguments(self, nick, text):
        """What the function gets for what was typed after the name."""
        if not self.takes_nick:
            if text:
                raise Misfit
            return []
        most = len(self.params)
        words = text.split(None, most - 1) if self.takes_rest else text.split()
        if len(words) > most and not self.words:
            raise Misfit
        given = [param.value(word) for param, word in zip(self.params, words)]
        for param in self.params[len(given):]:
            if param.default is NOTHING:
                raise Misfit
            given.append(param.default)
        given += [self.words.value(word) for word in words[most:]] if self.words else []
        return [nick, *given]

    def travels(self):
        return [self.name, self.usage, self.help, self.min_class]


def command(name, *, help="", min_class=0):
    if not isinstance(name, str):
        raise TypeError(f"vh.command() needs the command's name, as in @vh.command(\"dice\"), not "
                        f"{type(name).__name__}")
    if not isinstance(help, str) or not isinstance(min_class, int):
        raise TypeError("vh.command(): help is a text and min_class a number")
    name = name.lstrip("+!").lower()

    def mark(function):
        if name in commands and commands[name].function is not function:
            warnings.append(f"the command {name} is defined twice, and only the last one is called")
        made = Command(name, function, help, min_class)
        new = {**commands, name: made}
        vh._set_commands([each.travels() for each in new.values()])
        commands[name] = made
        return function

    return mark


def run(name, nick, text, user_class=0, in_pm=0, prefix="+", *more):
    """Answers a command; `text` begins with its name."""
    made = commands.get(name)
    if made is None:
        return
    rest = text.split(None, 1)[1:]
    context = contextvars.copy_context()
    context.run(asked.set, (nick, bool(in_pm)))
    try:
        arguments = made.arguments(nick, rest[0].strip() if rest else "")
    except Misfit:
        context.run(answer, nick, f"Usage: {prefix}{name} {made.usage}".rstrip())
        return
    made_of_it = context.run(made.function, *arguments)
    if made.is_async:
        context.run(vh.spawn, made_of_it)


def answer(nick, text):
    who = asked.get()
    if who is not None and who == (nick, True):
        return vh.pm(text, nick)
    return vh.usermc(text, nick)


# ---------------------------------------------------------------------- users


def users(*fields):
    for field in fields:
        if field not in USER_FIELDS:
            raise ValueError(f"users(): there is no field {field!r}; there are: {', '.join(USER_FIELDS)}")
    fields = fields or tuple(USER_FIELDS)
    numbers = [at for at, field in enumerate(fields) if USER_FIELDS[field]]
    rows = vh._users(" ".join(fields))
    for row in rows:
        for at in numbers:
            row[at] = int(row[at] or 0)
    return [dict(zip(fields, row)) for row in rows]
