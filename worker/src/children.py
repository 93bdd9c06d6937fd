# Runs in the script's process, and again in each process of multiprocessing's that gets its
# sys.path: there `names` and `values` are those of the module vh in the script's process.
class ScriptFolder(str):
    """A folder on sys.path that brings the module vh along to processes of multiprocessing."""

    def __reduce__(self):
        known = ("basedir", "botname", "config_name", "myid", "name", "opchatname", "path", "starttime")
        there = sys.modules["vh"].__dict__
        scope = {
            "source": source,
            "library": library,
            "folder": str(self),
            "names": {*there, *globals().get("names", ())},
            "values": {name: there[name] for name in known if name in there},
        }
        return eval, ("exec(source) or first", scope)


first = ScriptFolder(folder)

if "vh" not in sys.modules:
    import vh

    def not_here(name):
        if name in names:
            raise RuntimeError(f"vh.{name}: {vh._elsewhere}")
        raise AttributeError(f"module 'vh' has no attribute {name!r}")

    vh.__dict__.update(values)
    vh.__getattr__ = not_here
