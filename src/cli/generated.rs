//! What packages bring and is generated from the command line itself: manual pages, completions.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Program;

/// The shells, with where their completions lie below `share`, and under which name.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/vhpy"),
    (Shell::Zsh, "zsh/vendor-completions/_vhpy"),
    (Shell::Fish, "fish/vendor_completions.d/vhpy.fish"),
];

/// Writes all below a `share` folder.
pub(super) fn write(share: &Path) -> Result<i64, String> {
    write_all(share).map_err(|error| format!("{}: {error}", share.display()))?;
    Ok(0)
}

fn write_all(share: &Path) -> std::io::Result<()> {
    // With the version alone: what else `--version` says is of this machine.
    let command = Program::command().long_version(None).disable_help_subcommand(true);
    write_pages(command.clone(), &share.join("man/man1"))?;
    for (shell, place) in SHELLS {
        let file = share.join(place);
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command.clone(), "vhpy", &mut text);
        std::fs::write(file, text)?;
    }
    Ok(())
}

/// A page for the program, and one for each of its commands.
fn write_pages(command: Command, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut command = command;
    command.build();
    let pages = command.get_subcommands().filter(|one| !one.is_hide_set()).map(|one| {
        let name = format!("vhpy-{}", one.get_name());
        one.clone().name(&name).display_name(name)
    });
    let pages: Vec<Command> = pages.collect();
    for page in pages.into_iter().chain([command]) {
        let page = clap_mangen::Man::new(page.version(env!("CARGO_PKG_VERSION"))).date("");
        let mut text = Vec::new();
        page.render(&mut text)?;
        std::fs::write(folder.join(page.get_filename()), text)?;
    }
    Ok(())
}
