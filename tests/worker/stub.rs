//! `worker/vh.pyi` is what the tables say, knows every name of the module, and type checks.
//!
//! `VHPY_WRITE_STUB=1 cargo test --test worker stub` writes the file anew.
#![cfg(feature = "cli")]

use crate::support::skip;
use std::path::Path;
use std::process::Command;

use crate::support::fake_hub::{ANYTHING, FakeHub, Options};
use plugin_abi::Value;

const STUB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/worker/vh.pyi");

#[test]
fn the_file_is_what_the_tables_say() {
    if std::env::var_os("VHPY_WRITE_STUB").is_some() {
        std::fs::write(STUB, plugin_abi::stub::pyi()).unwrap();
    }
    let file = std::fs::read_to_string(STUB).unwrap_or_default();
    let help = "worker/vh.pyi is not what the tables say; VHPY_WRITE_STUB=1 writes it anew";
    assert!(file == plugin_abi::stub::pyi(), "{help}");
}

#[test]
fn the_program_prints_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_vhpy")).arg("stub").output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == plugin_abi::stub::pyi().as_bytes());
}

#[test]
fn module_and_stub_have_the_same_names() {
    let options = Options { has_ip_city: true, ..Options::default() };
    let mut hub = FakeHub::with(ANYTHING, options);
    let code = format!(
        "import ast
stub = set()
for node in ast.parse({:?}).body:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)): stub.add(node.name)
    if isinstance(node, ast.AnnAssign): stub.add(node.target.id)
module = {{name for name in dir(vh) if not name.startswith('_') or name == '__version__'}}
it = sorted(module ^ stub)",
        plugin_abi::stub::pyi()
    );
    assert_eq!(hub.run(&code), Ok(Value::List(vec![])));
}

/// What scripts may and may not write.
const GOOD: &str = r#"
import vh

@vh.observer
def OnTimer() -> None:
    vh.store["ticks"] = vh.store.get("ticks", 0) + 1

@vh.when(startswith=["!", "+"], min_class=3)
@vh.when(contains="casino", ignore_case=True, arg="message")
def OnParsedMsgPM(nick: str, message: str) -> int:
    return 0

@vh.command("dice", help="rolls a die", min_class=0)
def dice(nick: str, count: int = 1) -> None:
    vh.answer(nick, str(count))

def OnParsedMsgChat(nick: str, message: str) -> int | str | None:
    if vh.GetUserClass(nick) >= 3:
        ok, rows = vh.SQL("select 1")
        ok, rows = vh.SQL(5, "select 1")
        first: str = rows[0][0]
        vh.classmc(first, 3, "bot")
        vh.classmc(first, 3, 10, from_nick="bot")
    vh.SetConfig("hub_name", "x")
    vh.SetConfig("config", "max_users", 5)
    value: str | None = vh.GetConfig("hub_name")
    value = vh.GetConfig("config", "hub_name", "none")
    value = vh.GetConfig("hub_name", default=5)
    nicks: list[str] = vh.GetNickList().split("$$")
    info = vh.GetMyINFO(nick)
    if info is not None:
        return info[1]
    vh.pm(message, nick)
    vh.SetMyINFO(nick, size=1.5)
    return 1 if vh.eCR_KICKED == 2 and vh.UserRestrictions(nick, nochat="3h")["chat"] else None

@vh.every(30)
async def tick() -> None:
    vh.after(0, vh.mc, "x")
    text: str = await slow()
    text = vh.spawn(slow()).result(5)

async def slow() -> str:
    return "done"
"#;

const BAD: &str = "
import vh
vh.GetUserClass(5)
vh.StopHub('x')
x: int = vh.GetUserIP('n')
vh.SQL('a', 'b')
vh.GetUserClas('x')
vh.eCR_KICKED = 5
";

#[test]
fn mypy_agrees() {
    let mypy = std::env::var("VHPY_MYPY").unwrap_or_else(|_| "mypy".into());
    if skip::find(&mypy).is_none() {
        return skip::skip("no mypy", "`make venv`, and VHPY_MYPY=target/venv/bin/mypy");
    }
    let folder = tempfile::tempdir().unwrap();
    let check = |file: &Path| {
        let output = Command::new(&mypy)
            .args(["--strict", "--no-error-summary", "--cache-dir"])
            .arg(folder.path().join("cache"))
            .arg(file)
            .env("MYPYPATH", Path::new(STUB).parent().unwrap())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(check(Path::new(STUB)), "");
    let (good, bad) = (folder.path().join("good.py"), folder.path().join("bad.py"));
    std::fs::write(&good, GOOD).unwrap();
    assert_eq!(check(&good), "");
    std::fs::write(&bad, BAD).unwrap();
    let errors = check(&bad);
    // Beside the script it is found without being told where to look.
    std::fs::copy(STUB, folder.path().join("vh.pyi")).unwrap();
    let output =
        Command::new(&mypy).args(["--strict", "good.py"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for line in 3..=8 {
        assert!(errors.contains(&format!("bad.py:{line}: error:")), "line {line}: {errors}");
    }
}

/// With what `vhpy stub --dir` writes, pyright has nothing to complain of: neither of a script nor of
/// the stub itself, nor that the module is missing.
#[test]
fn pyright_agrees_with_what_the_program_writes_beside_scripts() {
    let pyright = std::env::var("VHPY_PYRIGHT").unwrap_or_else(|_| "pyright".into());
    if skip::find(&pyright).is_none() {
        return skip::skip_where_it_is_missing(
            "no pyright",
            "npm install pyright, and VHPY_PYRIGHT=node_modules/.bin/pyright",
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let written =
        Command::new(env!("CARGO_BIN_EXE_vhpy")).args(["stub", "--dir"]).arg(folder.path()).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    std::fs::write(folder.path().join("good.py"), GOOD).unwrap();
    let check = || {
        let output = Command::new(&pyright).arg(".").current_dir(folder.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = check();
    assert!(said.contains("0 errors, 0 warnings, 0 informations"), "{said}");
    std::fs::write(folder.path().join("bad.py"), BAD).unwrap();
    let said = check();
    // It lets a module's constant be set from outside: the last line.
    for line in 3..=7 {
        assert!(said.contains(&format!("bad.py:{line}:")), "line {line}: {said}");
    }
}
