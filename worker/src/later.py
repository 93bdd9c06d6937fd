# What a script wants done beside its hooks: timers and coroutines. Run once, when a script first
# uses one of them. `loaded` says whether the script has run to its end.
#
# Timers share one thread, and coroutines another. Both end before `UnLoad()` is called.
import contextvars
import heapq
import itertools
import os
import sys
import threading
import time
import traceback

COROUTINE = 0x80

home = os.getpid()
changed = threading.Condition()
waiting = []  # a heap of (due, number, Job)
held = {}  # by number: jobs for when no event is in flight
numbers = itertools.count(1)
timers = None
loop = None
loop_thread = None
stopping = False


def is_async(function):
    while hasattr(function, "func") or hasattr(function, "__func__"):
        function = getattr(function, "func", None) or function.__func__
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & COROUTINE)


class Job:
    """A function that is due some time, once or again and again."""

    def __init__(self, function, args, period=None):
        self.function, self.args, self.period = function, args, period
        self.context = contextvars.copy_context()
        self.running = None

    def run(self):
        if self.running is not None and not self.running.done():
            return  # a coroutine that takes longer than its period
        self.running = None
        result = self.context.run(self.function, *self.args)
        if is_async(self.function):
            self.running = self.context.run(spawn, result)


def seconds_of(name, seconds, least):
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"vh.{name}(): seconds is a number, not {type(seconds).__name__}")
    # A lock can wait for no longer.
    if not least <= seconds <= threading.TIMEOUT_MAX:
        raise ValueError(f"vh.{name}(): {seconds} seconds; at least {least}, and no more than {threading.TIMEOUT_MAX:.0f}")
    return seconds


def function_of(name, function):
    if not callable(function):
        kind = type(function).__name__
        hint = ": give the function itself, and its arguments after it" if kind in ("NoneType", "coroutine") else ""
        if kind == "coroutine":
            function.close()
        raise TypeError(f"vh.{name}() is for functions, not for a {kind}{hint}")
    return function


def check_place():
    if os.getpid() != home:
        raise RuntimeError("vh works only in the script's own process, not in one that it forked")
    if stopping:
        raise RuntimeError("the script is being unloaded")


def put(due, job):
    """`changed` is held."""
    global timers
    heapq.heappush(waiting, (due, next(numbers), job))
    if timers is None and loaded:
        timers = threading.Thread(target=tick, name="vh timers", daemon=True)
        timers.start()
    changed.notify()


def tick():
    while True:
        with changed:
            while not stopping and not (waiting and waiting[0][0] <= time.monotonic()):
                changed.wait(waiting[0][0] - time.monotonic() if waiting else None)
            if stopping:
                return
            due, _, job = heapq.heappop(waiting)
        try:
            job.run()
        except BaseException as error:
            if not stopping:
                show(error)
        if job.period is not None:
            # The ticks that were missed meanwhile are dropped.
            late = time.monotonic() - due
            with changed:
                put(due + (late // job.period + 1) * job.period, job)


def show(error):
    if not isinstance(error, SystemExit):
        return traceback.print_exception(type(error), error, error.__traceback__)
    print("SystemExit in a timer or a coroutine ends nothing but itself", file=sys.stderr)


def every(seconds, /):
    seconds_of("every", seconds, 0.001)

    def mark(function):
        function_of("every", function)
        with changed:
            check_place()
            put(time.monotonic() + seconds, Job(function, (), seconds))
        return function

    return mark


def after(seconds, function, /, *args):
    seconds_of("after", seconds, 0)
    job = Job(function_of("after", function), args)
    with changed:
        check_place()
        if seconds:
            return put(time.monotonic() + seconds, job)
        number = next(numbers)
        held[number] = job
    # The hub says when no event is in flight any more.
    vh._later(number)


def no_event_since(number):
    """The hub says: what was put off up to this number can be done."""
    with changed:
        for each in [each for each in held if each <= number]:
            put(time.monotonic(), held.pop(each))


def has_loaded():
    """The script has run to its end: its timers may use all of it."""
    global loaded
    with changed:
        loaded = True
        entries, waiting[:] = sorted(waiting), []
        now = time.monotonic()
        for due, _, job in entries:
            put(max(due, now + (job.period or 0)), job)


# ----------------------------------------------------------------- coroutines


def spawn(coroutine, /):
    global loop, loop_thread
    import asyncio

    if not asyncio.iscoroutine(coroutine):
        kind = type(coroutine).__name__
        raise TypeError(f"vh.spawn() is for coroutines, as a call of an async def gives one, not for a {kind}")
    with changed:
        try:
            check_place()
        except RuntimeError:
            coroutine.close()
            raise
        if loop is None:
            loop = asyncio.new_event_loop()
            loop_thread = threading.Thread(target=run_loop, name="vh coroutines", daemon=True)
            loop_thread.start()
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    future.add_done_callback(ended)
    return future


def run_loop():
    import asyncio

    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def ended(future):
    if not future.cancelled() and future.exception() is not None:
        show(future.exception())


async def cancel_all():
    import asyncio

    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()


def stop(patience):
    """Ends both threads; says what does not end within so many seconds."""
    global stopping
    until = time.monotonic() + patience
    with changed:
        stopping = True
        changed.notify_all()
    if loop is not None:
        import asyncio

        done = asyncio.run_coroutine_threadsafe(cancel_all(), loop)
        done.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    for thread, what in ((timers, "a timer's function"), (loop_thread, "a coroutine")):
        if thread is not None:
            thread.join(max(0, until - time.monotonic()))
            if thread.is_alive():
                print(f"{what} still runs {patience:.1f} s after the script was told to end", file=sys.stderr)
