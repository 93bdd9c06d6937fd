"""Reads scripts without running them and tells what cannot have been meant; `vhpy check` runs this
with the interpreter that would run the scripts, and gives it the tables as JSON.

Standard input: {"files": […], "stub": the text of vh.pyi, "hooks": {name: {"args": […], "blocks":
bool, "replaces": "Never" | "Chat" | "MyInfo"}}, "aliases": {function: [keyword, …]},
"limits": {"memory": bytes, "seconds": of processor time, "bytes": of a script}}.
Standard output: a list of {"file", "line", "column", "code", "message", "help"}.
"""

import ast
import difflib
import importlib.machinery
import io
import json
import os
import re
import resource
import site
import sys
import tokenize

# What keeps a hook from returning: names as they are imported, and what to do instead.
THREAD = "hand it to a thread (threading.Thread) and return"
BLOCKING = {
    "time.sleep": "the hub waits for a hook: call a function later with vh.after(seconds, function)",
    "input": "a script has no keyboard; take what users type as commands",
    "urllib.request.urlopen": THREAD,
    "urllib.request.urlretrieve": THREAD,
    "socket.create_connection": THREAD,
    "socket.getaddrinfo": THREAD,
    "socket.gethostbyname": THREAD,
    "socket.gethostbyaddr": THREAD,
    "os.system": THREAD,
    "os.popen": THREAD,
    "os.wait": THREAD,
    "os.waitpid": THREAD,
    "select.select": THREAD,
    "smtplib.SMTP": THREAD,
    "ftplib.FTP": THREAD,
    "asyncio.run": "vh.spawn(coroutine) runs it beside the hooks",
}
for module, names in {
    "subprocess": "run call check_call check_output getoutput getstatusoutput",
    "requests": "get post put patch delete head options request",
    "httpx": "get post put patch delete head options request stream",
}.items():
    BLOCKING.update({f"{module}.{name}": THREAD for name in names.split()})

EXITS = {"sys.exit", "exit", "quit", "os._exit", "os.abort", "SystemExit"}

TYPES = {"str": {"str"}, "int": {"int", "bool"}, "float": {"float", "int", "bool"}, "bool": {"bool"}}


class Signature:
    """One way to call a function of vh, from the stub."""

    def __init__(self, function, aliases):
        arguments = function.args
        self.positional = [*arguments.posonlyargs, *arguments.args]
        self.keyword = [*arguments.args, *arguments.kwonlyargs]
        self.keywords = {argument.arg: argument for argument in self.keyword}
        self.more = arguments.vararg is not None
        required = self.positional[: len(self.positional) - len(arguments.defaults)]
        self.required = [argument.arg for argument in required]
        self.required += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults) if d is None]
        self.aliases = aliases

    def shape(self, call):
        """What is wrong with number and names, or None."""
        given = len(call.args)
        if given > len(self.positional) and not self.more:
            most = len(self.positional)
            return f"takes {most if most else 'no'} argument{'s' if most != 1 else ''}, not {given}"
        have = {argument.arg for argument in self.positional[:given]}
        for keyword in call.keywords:
            if keyword.arg in self.aliases:
                return None
            if keyword.arg not in self.keywords:
                near = difflib.get_close_matches(keyword.arg, self.keywords, 1)
                return f"has no parameter {keyword.arg}" + (f"; {near[0]} was probably meant" if near else "")
            if keyword.arg in have:
                return f"gets {keyword.arg} twice"
            have.add(keyword.arg)
        missing = [name for name in self.required if name not in have]
        return f"lacks {', '.join(missing)}" if missing else None

    def types(self, call):
        """The first argument whose literal type does not fit, its parameter and what fits."""
        pairs = list(zip(call.args, self.positional))
        pairs += [(k.value, self.keywords[k.arg]) for k in call.keywords if k.arg in self.keywords]
        for value, parameter in pairs:
            kind, wanted = literal_type(value), allowed(parameter.annotation)
            if kind not in (None, "None") and wanted is not None and kind not in wanted:
                return value, parameter.arg, ast.unparse(parameter.annotation), kind
        return None


def literal_type(node):
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return literal_type(node.operand)
    if isinstance(node, ast.Constant):
        return type(node.value).__name__ if node.value is not None else "None"
    names = {ast.JoinedStr: "str", ast.List: "list", ast.Dict: "dict", ast.Set: "set", ast.Tuple: "tuple"}
    return names.get(type(node))


def allowed(annotation):
    """The literal types that an annotation lets pass; None when it cannot be told."""
    if isinstance(annotation, ast.BinOp):
        sides = allowed(annotation.left), allowed(annotation.right)
        return None if None in sides else sides[0] | sides[1]
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return set()
    if isinstance(annotation, ast.Name):
        return TYPES.get(annotation.id)
    return None


def read_stub(text, aliases):
    """All names of vh, and the signatures of its functions."""
    names, functions = {"__name__", "__doc__", "__file__", "__dict__"}, {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
            functions.setdefault(node.name, []).append(Signature(node, aliases.get(node.name, ())))
        elif isinstance(node, ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return {name for name in names if not re.fullmatch("_[A-Z]", name)}, functions


def own_nodes(function):
    """The nodes of a function without those of functions and classes in it."""
    rest = list(ast.iter_child_nodes(function))
    while rest:
        node = rest.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            rest[:0] = ast.iter_child_nodes(node)


def body_nodes(function):
    """The same of its body alone: decorators and defaults run elsewhere."""
    for statement in function.body:
        yield statement
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from own_nodes(statement)


def top_level(body):
    """The statements that run when the module is loaded, those in if, try and with included."""
    for node in body:
        yield node
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(node, name, None)
            if isinstance(inner, list) and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from top_level(inner)
        for handler in getattr(node, "handlers", ()):
            yield from top_level(handler.body)


def packages():
    """The folders in which this interpreter finds packages, without running anything of them."""
    home = os.path.dirname(os.path.dirname(sys.executable))
    prefixes = [sys.prefix, sys.base_prefix]
    try:
        with open(os.path.join(home, "pyvenv.cfg"), encoding="utf-8") as file:
            shared = re.search(r"(?m)^include-system-site-packages\s*=\s*true", file.read())
        prefixes = [home, *([sys.base_prefix] if shared else [])]
    except OSError:
        shared = True
    folders = site.getsitepackages(prefixes)
    if shared:
        folders.append(site.getusersitepackages())
    for folder in list(folders):
        try:
            listed = [name for name in os.listdir(folder) if name.endswith(".pth")]
        except OSError:
            continue
        for name in listed:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file if not line.startswith(("#", "import"))]
            folders += [os.path.join(folder, line) for line in lines if line]
    return folders


class Script:
    """One script and what was found in it."""

    def __init__(self, path, text, tables, folders):
        self.path, self.text, self.tables, self.folders = path, text, tables, folders
        self.found = []
        self.names, self.functions = tables["names"], tables["functions"]
        self.hooks = tables["hooks"]

    def find(self, node, code, message, help):
        line, column = (node.lineno, node.col_offset + 1) if node is not None else (1, 1)
        self.found.append(
            {"file": self.path, "line": line, "column": column, "code": code, "message": message, "help": help}
        )

    def check(self):
        try:
            self.tree = ast.parse(self.text, self.path)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
            message = getattr(error, "msg", None) or str(error) or TOO_DEEP
            if isinstance(error, MemoryError):
                most = resource.getrlimit(resource.RLIMIT_AS)[0] >> 20
                message = f"{TOO_DEEP}, or takes more than {most} MiB of memory"
            place = ast.Pass(lineno=line, col_offset=max(column - 1, 0))
            version = f"Python {sys.version_info[0]}.{sys.version_info[1]}"
            return self.find(place, "VH001", f"{version} cannot read this: {message}", "write it as this version of Python has it")
        self.gather()
        self.check_imports()
        self.check_names()
        self.check_calls()
        self.check_functions()
        self.check_timers()
        return None

    # ------------------------------------------------------------- what there is

    def gather(self):
        """What names of modules and functions mean in this script."""
        self.meaning, self.imports, self.top = {}, [], {}
        optional = set()
        for node in ast.walk(self.tree):
            guarded = isinstance(node, ast.Try) and any(self.catches_import(h) for h in node.handlers)
            typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            if guarded or typing:
                optional.update(id(inner) for part in node.body for inner in ast.walk(part))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    self.meaning[name.asname or name.name.split(".")[0]] = name.name if name.asname else name.name.split(".")[0]
                    self.imports.append((node, name.name, id(node) in optional))
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                for name in node.names:
                    self.meaning[name.asname or name.name] = f"{node.module}.{name.name}"
                self.imports.append((node, node.module, id(node) in optional))
        for node in top_level(self.tree.body):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                self.top[node.name] = node

    @staticmethod
    def catches_import(handler):
        return handler.type is None or re.search(r"ImportError|ModuleNotFoundError|\bException\b", ast.unparse(handler.type))

    def dotted(self, node):
        """What an expression means: `time.sleep`, also where it is imported by another name."""
        if isinstance(node, ast.Name):
            return self.meaning.get(node.id, node.id if node.id not in self.top else None)
        if isinstance(node, ast.Attribute):
            start = self.dotted(node.value)
            return f"{start}.{node.attr}" if start else None
        return None

    def decorators(self, function):
        return [self.dotted(d.func if isinstance(d, ast.Call) else d) for d in function.decorator_list]

    # ------------------------------------------------------------------- modules

    def check_imports(self):
        stem, folder = os.path.splitext(os.path.basename(self.path))[0], os.path.dirname(os.path.abspath(self.path))
        if stem in sys.stdlib_module_names or (stem != "__init__" and self.is_installed(stem)):
            whose = "Python's own module" if stem in sys.stdlib_module_names else "the package"
            self.find(None, "VH401", f"{stem}.py hides {whose} {stem} from all scripts in its folder", "give the file another name")
        for node, name, optional in self.imports:
            first = name.split(".")[0]
            if first == "vh" or first == stem:
                continue
            here = any(os.path.exists(os.path.join(folder, first + end)) for end in (".py", "/__init__.py"))
            if first in sys.stdlib_module_names:
                if here:
                    self.find(node, "VH401", f"this imports {first}.py of this folder, not Python's own {first}", f"give {first}.py another name")
            elif not optional and not here and not self.is_installed(first) and not os.path.isdir(os.path.join(folder, first)):
                python = sys.executable
                self.find(node, "VH402", f"there is no module {first} for {python}", f"install it: {python} -m pip install {first.replace('_', '-')}, or make a .venv beside the script")

    def is_installed(self, name):
        if importlib.machinery.PathFinder.find_spec(name, self.folders) is not None:
            return True
        for folder in self.folders:
            try:
                listed = os.listdir(folder)
            except OSError:
                continue
            if any(entry.startswith("__editable__") and name.lower() in entry.lower().replace("-", "_") for entry in listed):
                return True
        return False

    # --------------------------------------------------------------- names of vh

    def check_names(self):
        tested = {n.args[1].value for n in ast.walk(self.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
                  and n.func.id in ("hasattr", "getattr") and len(n.args) > 1 and isinstance(n.args[1], ast.Constant)
                  and self.dotted(n.args[0]) == "vh"}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and self.dotted(node.value) == "vh":
                names = [node.attr]
            elif isinstance(node, ast.ImportFrom) and node.module == "vh" and not node.level:
                names = [name.name for name in node.names if name.name != "*"]
            else:
                continue
            for name in names:
                if name not in self.names and name not in tested:
                    near = near_name(name, self.names)
                    help = f"vh.{near} was probably meant" if near else "the manual's page on functions lists what there is"
                    self.find(node, "VH201", f"the module vh has no {name}", help)

    def check_calls(self):
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Call):
                continue
            name = self.dotted(node.func)
            if not name or not name.startswith("vh."):
                continue
            name = name[3:]
            if name == "SQL":
                self.check_sql(node)
            signatures = self.functions.get(name)
            if not signatures or any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
                continue
            shapes = [(signature, signature.shape(node)) for signature in signatures]
            fitting = [signature for signature, wrong in shapes if wrong is None]
            usage = "; ".join(f"vh.{name}({self.written(s)})" for s in signatures)
            if not fitting:
                self.find(node, "VH202", f"vh.{name} {shapes[-1][1]}", f"it is called {usage}")
                continue
            wrong = [signature.types(node) for signature in fitting]
            if all(wrong):
                value, parameter, wanted, kind = wrong[-1]
                self.find(value, "VH203", f"vh.{name} takes {wanted} for {parameter}, and this is {kind}", f"it is called {usage}")

    @staticmethod
    def written(signature):
        return ", ".join(argument.arg if argument.arg in signature.required else f"[{argument.arg}]" for argument in [
            *signature.positional, *(a for a in signature.keyword if a not in signature.positional)])

    # ----------------------------------------------------------------------- SQL

    def check_sql(self, call):
        texts = [*call.args, *(k.value for k in call.keywords if k.arg == "query")]
        for text in texts[:2]:
            pasted = self.pasted(self.resolved(text, call))
            if pasted is not None:
                shown = ast.unparse(pasted)
                self.find(pasted, "VH501", f"{shown if len(shown) < 40 else 'a text'} is pasted into a query: who writes it can change the query",
                          "write ? in its place and give it as a parameter: vh.SQL(\"… where nick = ?\", limit, (nick,)); or paste vh.sql_quote(…)")
                return

    def resolved(self, node, call):
        """What a variable was set to, if that is in the same function and once."""
        if not isinstance(node, ast.Name):
            return node
        for function in ast.walk(self.tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(n is call for n in body_nodes(function)):
                values = [n.value for n in body_nodes(function) if isinstance(n, ast.Assign)
                          and any(isinstance(t, ast.Name) and t.id == node.id for t in n.targets)]
                return values[0] if len(values) == 1 else node
        return node

    def pasted(self, node):
        """The first part of a text that is not the script's own, or None."""
        if isinstance(node, ast.JoinedStr):
            for part in node.values:
                if isinstance(part, ast.FormattedValue) and not self.is_safe(part.value):
                    spec = ast.unparse(part.format_spec) if part.format_spec else ""
                    if not re.search(r"[dxXob]['\"]$", spec):
                        return part.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and is_text(node.left):
            values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
            letters = re.findall(r"%[^a-zA-Z%]*([a-zA-Z%])", text_of(node.left))
            letters = [letter for letter in letters if letter != "%"]
            for value, letter in zip(values, letters):
                if letter not in "dixXofeg" and not self.is_safe(value):
                    return value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            sides = self.pasted(node.left), self.pasted(node.right)
            if any(sides):
                return sides[0] or sides[1]
            if is_text(leftmost(node)) or is_text(node.right):
                return next((side for side in (node.left, node.right) if not isinstance(side, ast.BinOp) and not is_text(side) and not self.is_safe(side)), None)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format" and is_text(node.func.value):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            return next((value for value in values if not self.is_safe(value)), None)
        return None

    def is_safe(self, node):
        """Whether a value cannot change a query: a constant, a number, a quoted text."""
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name) and node.id.isupper():
            return True  # a constant of the script
        return isinstance(node, ast.Call) and self.dotted(node.func) in ("vh.sql_quote", "int", "len", "float", "round", "time.time")

    # --------------------------------------------------------------------- hooks

    def check_functions(self):
        used = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for name, node in self.top.items():
            if name in self.hooks:
                self.check_hook(name, node)
            elif "vh.command" in (self.decorators(node) if not isinstance(node, ast.ClassDef) else ()):
                self.check_waits(f"the command {name}", node)
            elif name not in used and not node.decorator_list:
                self.check_name(name, node)

    def check_timers(self):
        """Functions that are called where they should be handed over, and the other way round."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and self.dotted(node.value.func) == "vh.every":
                self.find(node, "VH107", "vh.every(…) alone calls nothing", "write @vh.every(…) in the line above a function")
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = self.dotted(node.func)
            if name == "vh.after" and len(node.args) > 1 and isinstance(node.args[1], ast.Call) and self.is_plain_call(node.args[1]):
                shown = ast.unparse(node.args[1].func)
                more = "".join(", " + ast.unparse(argument) for argument in node.args[1].args)
                self.find(node.args[1], "VH107", f"{shown}(…) is called at once, and vh.after gets what it returns",
                          f"give the function and its arguments: vh.after({ast.unparse(node.args[0])}, {shown}{more})")
            elif name == "vh.spawn" and isinstance(node.args[0], ast.Name) and isinstance(self.top.get(node.args[0].id), ast.AsyncFunctionDef):
                shown = node.args[0].id
                self.find(node.args[0], "VH107", f"{shown} is not called, so there is no coroutine to run", f"write vh.spawn({shown}(…))")

    def is_plain_call(self, call):
        """Whether a call is one of a function of the script, or of vh, that does not make functions."""
        if isinstance(call.func, ast.Name) and call.func.id in self.top:
            function = self.top[call.func.id]
            return not isinstance(function, ast.ClassDef) and not any(
                isinstance(n, ast.Return) and n.value is not None for n in body_nodes(function))
        name = self.dotted(call.func)
        return name in ("print", "time.sleep") or bool(name and name.startswith("vh.") and name[3:] in self.functions)

    def check_name(self, name, node):
        plain = name.replace("_", "").lower()
        near = next((hook for hook in self.hooks if hook.lower() == plain), None)
        if near is None and plain.startswith("on"):
            near = next(iter(difflib.get_close_matches(name, self.hooks, 1, 0.88)), None)
        if near:
            self.find(node, "VH101", f"{name} is no hook and is not called", f"{near} was probably meant")
        elif re.match(r"On[A-Z]", name):
            self.find(node, "VH102", f"{name} is no hook: the hub does not call it by itself", "the manual's page on hooks lists all; give a function of your own another name")

    def check_hook(self, name, node):
        hook = self.hooks[name]
        if isinstance(node, ast.ClassDef):
            return self.find(node, "VH103", f"{name} is a class: each event makes an object of it, which is no answer", "define a function")
        decorators = self.decorators(node)
        observer = "vh.observer" in decorators
        if all(decorator and decorator.startswith("vh.") for decorator in decorators):
            self.check_parameters(name, node, hook)
        makes = None
        nodes = list(body_nodes(node))
        if isinstance(node, ast.AsyncFunctionDef):
            makes = "async: its answer comes too late to count"
        elif any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in nodes):
            makes = "a generator: calling it runs nothing"
        if makes and (hook["blocks"] or "generator" in makes) and not observer:
            self.find(node, "VH104", f"{name} is {makes}", "use a plain def, and hand what takes long to vh.spawn(…) or a thread")
        elif not makes:
            self.check_answers(name, nodes, hook, observer)
        if not observer and not isinstance(node, ast.AsyncFunctionDef):
            self.check_waits(name, node)
        for call in nodes:
            callee = call.func if isinstance(call, ast.Call) else call.exc if isinstance(call, ast.Raise) else None
            what = self.dotted(callee) if callee is not None else None
            if what in EXITS:
                self.find(call, "VH105", f"{what} in {name} ends the script's process, and the hub starts it again", "return; to keep a script away, an operator unloads it")
        return None

    def check_parameters(self, name, node, hook):
        arguments, given = node.args, len(hook["args"])
        least = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
        usage = f"def {name}({', '.join(hook['args'])}), or the first of these"
        if least > given:
            self.find(node, "VH103", f"{name} needs {least} arguments, but the hub gives {given}", f"write {usage}")
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
            if default is None:
                self.find(argument, "VH103", f"{name} needs {argument.arg} by its name, but the hub gives arguments by their places", f"write {usage}")

    def check_answers(self, name, nodes, hook, observer):
        for node in nodes:
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            value, kind = node.value, literal_type(node.value)
            if kind in (None, "None"):
                continue
            can = "None, an int or a bool" + {"Never": "", "Chat": ", a str, or (nick, message)", "MyInfo": ", or (desc, tag, speed, mail, size)"}[hook["replaces"]]
            zero = isinstance(value, ast.Constant) and kind in ("int", "bool") and not value.value
            if observer and (zero or kind not in ("int", "bool")):
                self.find(node, "VH302", f"{name} is an observer, for whose answer nobody waits", "leave out the answer, or @vh.observer")
            elif zero and not hook["blocks"]:
                self.find(node, "VH302", f"{name} is a notice: 0 blocks nothing", "leave out the answer")
            elif kind in ("int", "bool"):
                continue
            elif kind == "str" and hook["replaces"] == "Chat":
                continue
            elif kind == "tuple" and len(value.elts) == 2 and (hook["replaces"] == "Chat" or is_send(value)):
                continue
            elif kind == "tuple" and len(value.elts) == 5 and hook["replaces"] == "MyInfo":
                continue
            else:
                shown = f"a tuple of {len(value.elts)}" if kind == "tuple" else f"a {kind}"
                self.find(node, "VH301", f"{shown} is no answer of {name}: the hub goes on", f"return {can}; or (text, int), which sends the text")

    def check_waits(self, name, function):
        for node in body_nodes(function):
            if not isinstance(node, ast.Call):
                continue
            called = self.dotted(node.func)
            if called in BLOCKING:
                self.find(node, "VH106", f"{called} in {name} keeps the hub waiting", BLOCKING[called])
            inner = self.top.get(node.func.id) if isinstance(node.func, ast.Name) else None
            if not isinstance(inner, ast.FunctionDef) or inner.name in self.hooks:
                continue
            for deep in body_nodes(inner):
                called = self.dotted(deep.func) if isinstance(deep, ast.Call) else None
                if called in BLOCKING:
                    place = f"{inner.name}, which {name} calls,"
                    self.find(deep, "VH106", f"{called} in {place} keeps the hub waiting", BLOCKING[called])


def is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def text_of(node):
    return node.value if isinstance(node, ast.Constant) else ast.unparse(node)


def leftmost(node):
    while isinstance(node, ast.BinOp):
        node = node.left
    return node


def is_send(value):
    """Whether a pair may be (text, int)."""
    kinds = [literal_type(element) for element in value.elts]
    return kinds[0] in (None, "str") and kinds[1] in (None, "int", "bool")


TOO_DEEP = "it is nested too deeply"


def near_name(name, names):
    by_lower = {known.lower(): known for known in names}
    return by_lower.get(name.lower()) or next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)


def silenced(text):
    """By lines: the codes that `# noqa: VH101` silences, or None for all."""
    lines = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT and (said := re.search(r"#\s*noqa(?::\s*([A-Z0-9, ]+))?", token.string, re.I)):
                lines[token.start[0]] = None if said[1] is None else set(re.findall(r"[A-Z]+\d+", said[1]))
    except (tokenize.TokenError, SyntaxError):
        pass
    return lines


def limit(what, most):
    """A script that takes too much to be read is not to take it from the hub beside it."""
    now = resource.getrlimit(what)
    most = min([most, *(each for each in now if each != resource.RLIM_INFINITY)])
    resource.setrlimit(what, (most, now[1]))


def main():
    asked = json.load(sys.stdin)
    limits = asked["limits"]
    limit(resource.RLIMIT_AS, limits["memory"])
    limit(resource.RLIMIT_CPU, limits["seconds"])
    names, functions = read_stub(asked["stub"], asked["aliases"])
    tables = {"names": names, "functions": functions, "hooks": asked["hooks"]}
    folders, found = packages(), []
    for path in asked["files"]:
        place = {"file": path, "line": 1, "column": 1, "code": "VH001"}
        try:
            if os.path.getsize(path) > limits["bytes"]:
                message = f"cannot be read: it has more than {limits['bytes'] >> 20} MiB"
                found.append({**place, "message": message, "help": "keep data in a file beside it"})
                continue
            with tokenize.open(path) as file:
                text = file.read()
        except (SyntaxError, UnicodeDecodeError, OSError) as error:
            found.append({**place, "message": f"cannot be read: {error}", "help": "save it as UTF-8, or name its encoding in the first line"})
            continue
        script = Script(path, text, tables, folders)
        try:
            script.check()
        except MemoryError:
            message = f"cannot be read whole within {limits['memory'] >> 20} MiB of memory"
            found.append({**place, "message": message, "help": "keep data in a file beside it"})
            continue
        except RecursionError:
            # What was found before stays; the others' scripts are read all the same.
            script.find(None, "VH001", f"cannot be read whole: {TOO_DEEP}", "write it with fewer levels inside each other")
        quiet, seen = silenced(text), set()
        for finding in sorted(script.found, key=lambda f: (f["line"], f["column"], f["code"])):
            codes = quiet.get(finding["line"], ())
            key = (finding["line"], finding["column"], finding["code"])
            if key in seen or (finding["code"] != "VH001" and (codes is None or finding["code"] in codes)):
                continue
            seen.add(key)
            found.append(finding)
    json.dump(found, sys.stdout)


main()
