//! Start-up order only: arguments, log, command, exit code.

use highwater::cli::{Cli, Command, LogArgs, LogLevel};
use highwater::command::{Failure, backtest, check, demo, explain, log, replay, report, run, shell};
use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

/// `check` keeps 0 to 3 for its verdicts.
const CHECK_FAILED: u8 = 4;
/// What a verdict has in common with an agent that does not answer.
const UNKNOWN: u8 = 3;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(mistake) => return refuse(&mistake),
    };
    match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => {
            log::start(&args.log);
            finish(run::run(&args).map(|()| 0), None)
        }
        Command::Check(args) => {
            log::start(&LogArgs { level: LogLevel::Error, ..LogArgs::default() });
            finish(check::check(&args).map(highwater::verdict::Verdict::exit_code), Some(CHECK_FAILED))
        }
        Command::Replay(args) => {
            log::start(&LogArgs { level: LogLevel::Error, ..LogArgs::default() });
            finish(replay::replay(&args), None)
        }
        Command::Explain(args) => {
            log::start(&LogArgs { level: LogLevel::Error, ..LogArgs::default() });
            finish(explain::explain(&args).map(|()| 0), None)
        }
        Command::Backtest(args) => {
            log::start(&LogArgs { level: LogLevel::Error, ..LogArgs::default() });
            finish(backtest::run(&args, &mut stdout().lock()).map(|()| 0).map_err(Failure::from), None)
        }
        Command::Completions { shell } => finish(shell::completions(shell).map(|()| 0), None),
        Command::Man(args) => finish(shell::man(&args).map(|()| 0), None),
        Command::Demo(args) => {
            log::start(&args.log);
            finish(demo::demo(&args).map(|()| 0), None)
        }
    }
}

/// Prints what is wrong with the arguments, or what `--help` asks for.
fn refuse(mistake: &clap::Error) -> ExitCode {
    // Nothing is left to be done when nobody reads it.
    mistake.print().ok();
    match std::env::args_os().nth(1) {
        // Monitoring would take clap's 2 for a verdict.
        Some(command) if command == "check" && mistake.use_stderr() => ExitCode::from(CHECK_FAILED),
        _ => u8::try_from(mistake.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

fn finish(result: Result<u8, Failure>, code: Option<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be done when standard error is closed as well.
            writeln!(stderr(), "highwater: {}", report(&failure)).ok();
            let code = code.filter(|_| failure.exit_code() != UNKNOWN);
            ExitCode::from(code.unwrap_or_else(|| failure.exit_code()))
        }
    }
}
