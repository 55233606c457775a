//! What helps at a shell: completions and manual pages, from the same definitions as `--help`.

use super::{Failure, print};
use crate::cli::{Cli, ManArgs};
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the completions for a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "highwater", &mut text);
    print(&text)
}

/// Prints the manual page, or writes one for each command into a directory.
///
/// # Errors
/// When the page cannot be written.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let command = Cli::command();
    let Some(directory) = &args.directory else {
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text).map_err(|error| Failure::io("write the page", error))?;
        return print(&text);
    };
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .map_err(|source| Failure::Pages { directory: directory.clone(), source })
}
