# Runs in the script's process, before it is loaded: `report` tells the hub from what a module was loaded.
import sys

import _frozen_importlib_external as external

# What is loaded instead of what is on disk, by file.
kept = {}
# What was reported, by file.
loaded = {}
folder = None


def is_ours(file):
    return folder is not None and file.startswith(folder) and "/site-packages/" not in file[len(folder) - 1 :]


def begin(place, sources):
    """From now on this is the script's folder, and these are its kept sources, by their names in there."""
    global folder
    folder = place.rstrip("/") + "/"
    kept.update((folder + name, text) for name, text in sources)
    at = sys.meta_path.index(external.PathFinder) if external.PathFinder in sys.meta_path else 0
    sys.meta_path.insert(at, Finder)
    if kept:
        sys.excepthook = show


def note(file, text):
    """A file of the script was loaded from this."""
    if file not in loaded and is_ours(file):
        loaded[file] = text
        report(file[len(folder) :].encode("utf-8", "surrogateescape"), text)


class Loader(external.SourceFileLoader):
    """Loads a module beside the script, and notes from what."""

    def get_code(self, name):
        text = kept.get(self.path)
        if text is not None:
            note(self.path, text)
            return compile(text, self.path, "exec", dont_inherit=True)
        try:
            text = super().get_data(self.path)
        except OSError:
            text = None
        code = super().get_code(name)
        if text is not None:
            note(self.path, text)
        return code

    def get_data(self, path):
        return kept[path] if path in kept else super().get_data(path)


class Finder:
    """Finds modules beside the script: kept ones, and those on disk."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        last = name.rpartition(".")[2]
        for place in (sys.path if path is None else path) if kept else ():
            for file, inside in ((f"{place}/{last}/__init__.py", [f"{place}/{last}"]), (f"{place}/{last}.py", None)):
                if file in kept:
                    loader = Loader(name, file)
                    return external.spec_from_file_location(
                        name, file, loader=loader, submodule_search_locations=inside
                    )
        spec = external.PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is external.SourceFileLoader and is_ours(spec.loader.path):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def show(kind, value, trace):
    """Prints a traceback with the lines that ran, which are not those on disk."""
    import linecache
    import traceback

    for file, text in kept.items():
        lines = external.decode_source(text).splitlines(True)
        linecache.cache[file] = (len(text), None, lines, file)
    traceback.print_exception(kind, value, trace)
