//! One hub, with a script under each interpreter of this machine: `python3.10` to `python3.14` on
//! the PATH, or those that `VHPY_TEST_PYTHONS` names besides `python3`.
#![cfg(feature = "cli")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::support::client::HubBuilder;
use crate::support::fake_hub::executable;

const SCRIPT: &str = "
import sys
def OnParsedMsgChat(nick, message):
    if message == 'who':
        vh.mc(f'{vh.name} {sys.version_info[0]}.{sys.version_info[1]} knows {sorted(vh.GetNickList())}')
";

/// Those that can be tested, each once.
fn pythons() -> Vec<PathBuf> {
    let named = std::env::var("VHPY_TEST_PYTHONS")
        .unwrap_or_else(|_| (10..=14).map(|minor| format!("python3.{minor}")).collect::<Vec<_>>().join(":"));
    let mut found = vec![executable("python3").expect("a python3 from 3.10 on is on the PATH")];
    for python in named.split(':').filter_map(executable) {
        if !found.contains(&python) {
            found.push(python);
        }
    }
    found
}

#[test]
fn scripts_of_all_interpreters_run_in_one_hub() {
    let pythons = pythons();
    let folder = tempfile::tempdir().unwrap();
    let mut builder = HubBuilder::new();
    let mut versions = Vec::new();
    for (number, python) in pythons.iter().enumerate() {
        // As in a virtual environment, which is all that such an interpreter needs.
        let home = folder.path().join(format!("number{number}"));
        std::fs::create_dir_all(home.join(".venv/bin")).unwrap();
        symlink(python, home.join(".venv/bin/python")).unwrap();
        let bin = python.parent().unwrap().display();
        std::fs::write(home.join(".venv/pyvenv.cfg"), format!("home = {bin}\n")).unwrap();
        let script = home.join(format!("script{number}.py"));
        std::fs::write(&script, SCRIPT).unwrap();
        builder = builder.more(&script);
        let code = "import sys; print(f'{sys.version_info[0]}.{sys.version_info[1]}')";
        let output = std::process::Command::new(python).args(["-c", code]).output().unwrap();
        versions.push(String::from_utf8(output.stdout).unwrap().trim().to_owned());
    }
    let hub = builder.start();
    let mut nick = hub.guest("nick");
    nick.chat("who");
    // All are asked at the same time; which answers first is open.
    let mut said: Vec<String> = versions.iter().map(|_| nick.wait_for(" knows ")).collect();
    said.sort();
    let expected: Vec<String> = versions
        .iter()
        .enumerate()
        .map(|(number, version)| format!("<vhpy> script{number} {version} knows ['OpChat', 'nick', 'vhpy']"))
        .collect();
    assert_eq!(said, expected);
}
