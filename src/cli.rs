//! What may be typed? Flags and subcommands; no behaviour, no default that needs the machine.

use crate::config::{Agent, AgentChoice, HostPattern, ListenAddress, Overrides};
use crate::time::{Span, TimeError, Timestamp};
use crate::units::{Bytes, SizeError};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Warns before disk pressure deletes container images, on nodes where one disk carries several container layers.
///
/// Without a subcommand it runs the agent: it finds the layers of this machine, measures their disk and serves what it knows
/// to Prometheus and to a browser. It needs no configuration and never changes or deletes anything.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `run`, which may be given without naming it.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent (the default): print the layers that were found, then serve metrics and a status page
    Run(RunArgs),
    /// Print how near each layer is to losing images, from the running agent or by measuring this machine
    ///
    /// Asks the agent of this machine if one listens on port 9469 of 127.0.0.1, or of ::1 where nobody does on the former, and
    /// else measures for five seconds. An agent has watched for longer, so that its forecast has a history behind it. An agent with
    /// TLS or a password, here or elsewhere, is named by --agent and --agent.config.file: whoever listens here first is sent none.
    ///
    /// Exit code: 0 no trigger expected, 1 a trigger is expected within --warning, 2 crossed or expected within --critical,
    /// 3 a layer could not be measured or the agent of --agent not reached, 4 highwater itself failed or a flag is wrong.
    Check(CheckArgs),
    /// Go through a recording and compare the predictions with the images that were deleted
    ///
    /// For each burst of deletions the prediction before it is taken, and each image is counted: predicted as certain, possible or
    /// safe, and deleted or not. Exit code: 0 no prediction was wrong, 1 one was, 2 the recording cannot be read.
    Replay(ReplayArgs),
    /// Play recorded disk usage through the forecast and score what it would have said
    Backtest(BacktestArgs),
    /// Say which images each trigger would delete, which stay and why, which losses are fatal, and what helps
    ///
    /// Queries the running agent as `check` does, or measures this machine; deletes nothing. Without a layer it explains every one that has a
    /// kubelet.
    Explain(ExplainArgs),
    /// Play a three-layer node that fills up, through the same pipeline, without touching this machine
    Demo(DemoArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man(ManArgs),
}

/// Flags of the agent.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// Where and what to read.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Where to listen.
    #[command(flatten)]
    pub web: WebArgs,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// Sampling interval of the disks [default: 5s]
    #[arg(long = "sample.interval", value_name = "DURATION", value_parser = span)]
    pub sample_interval: Option<Span>,
    /// Polling interval of container runtimes [default: 30s]
    #[arg(long = "runtime.interval", value_name = "DURATION", value_parser = span)]
    pub runtime_interval: Option<Span>,
    /// Pause between two walks that count the bytes of each layer; 0s: no walks [default: 5m]
    #[arg(long = "usage.interval", value_name = "DURATION", value_parser = span)]
    pub usage_interval: Option<Span>,
    /// Keep what was learnt in this directory, so that forecasts and their scores survive a restart; without it nothing is kept
    #[arg(long = "storage.path", value_name = "DIR")]
    pub storage: Option<PathBuf>,
    /// Append what is seen to this file, for `explain --recording` and `replay`
    #[arg(long, value_name = "FILE")]
    pub recording: Option<PathBuf>,
    /// The most that FILE and its older generation FILE.1 may take together [default: 64MiB]
    #[arg(long = "recording.max-size", value_name = "SIZE", value_parser = recording_size, requires = "recording")]
    pub recording_max_size: Option<Bytes>,
}

/// Flags of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The recording; may be compressed with gzip
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Flags of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Which agent to query, or how to measure.
    #[command(flatten)]
    pub origin: OriginArgs,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Print again and again, on a terminal in the same place, until interrupted [default of DURATION: 5s]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "5s", value_parser = period)]
    pub watch: Option<Span>,
    /// Measure this machine, and wait so long for the walk that counts the bytes of each layer; 0s: do not count [default: 10s]
    #[arg(long = "usage.timeout", value_name = "DURATION", value_parser = span)]
    pub usage_timeout: Option<Span>,
    /// A trigger expected within this is critical [default: 30m]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub critical: Option<Span>,
    /// A trigger expected within this is a warning [default: 2h]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub warning: Option<Span>,
}

/// Flags of `explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The layer, by its name or any unambiguous end of it, as `capd-worker`
    #[arg(value_name = "LAYER")]
    pub layer: Option<String>,
    /// Answer as if so much more were written to the disk of the images first, as 20GiB
    #[arg(long = "if-write", value_name = "SIZE")]
    pub if_write: Option<Bytes>,
    /// Answer from this recording instead of from this machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config_file", "procfs", "rootfs", "window", "agent", "agent_config_file"])]
    pub recording: Option<PathBuf>,
    /// With --recording: the time to answer for, from what was known up to then [default: the end]
    #[arg(long, value_name = "TIME", value_parser = timestamp, requires = "recording")]
    pub at: Option<Timestamp>,
    /// Which agent to query, or how to measure.
    #[command(flatten)]
    pub origin: OriginArgs,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Which agent to query, or how to measure this machine instead.
#[derive(Debug, Clone, Default, Args)]
pub struct OriginArgs {
    /// Where and what to read.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Which agent to query, and how.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Measure this machine for so long [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = span)]
    pub window: Option<Span>,
}

/// Which agent to query, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct AgentArgs {
    /// The agent to query, as https://node-1:9469, http://node-1:9469 or unix:///run/highwater.sock; none: measure this machine instead [default:
    /// this machine's, if it answers and no flag says how to measure]
    #[arg(long, value_name = "URL")]
    pub agent: Option<AgentChoice>,
    /// A YAML file with user, password, certificate and trusted CA for the agent of --agent, in the format of Prometheus' HTTP
    /// client (promtool --http.config.file); read again for each query
    #[arg(long = "agent.config.file", value_name = "FILE")]
    pub agent_config_file: Option<PathBuf>,
}

/// Flags of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write a page for each command into this directory instead
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Flags of `backtest`.
#[derive(Debug, Clone, Args)]
pub struct BacktestArgs {
    /// A trace, or a folder of traces: NAME.csv or NAME.csv.gz with the columns t_seconds,size_bytes,avail_bytes, or
    /// NAME.json (also .gz) with the answer of Prometheus to a range query for {__name__=~"node_filesystem_(avail|size)_bytes"},
    /// or NAME.jsonl (also .gz) as `run --recording` writes it, after its older generation NAME.jsonl.1
    #[arg(value_name = "DIR")]
    pub path: PathBuf,
    /// Score predict_linear over 15m, 1h and 6h and the average rate of 1h beside the forecasts
    #[arg(long)]
    pub baseline: bool,
    /// How to print the scores
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Write every forecast into this file, one JSON line each
    #[arg(long, value_name = "FILE")]
    pub emit_forecasts: Option<PathBuf>,
    /// Write plots into this folder, as SVG: calibration.svg and one for each trace
    #[arg(long, value_name = "DIR")]
    pub plots: Option<PathBuf>,
}

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Where to listen.
    #[command(flatten)]
    pub web: WebArgs,
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// How much faster than real time the node fills up; 1 to 10000
    #[arg(long, value_name = "FACTOR", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub speed: u32,
    /// Another seed plays another story
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Where the machine is to be found.
#[derive(Debug, Clone, Default, Args)]
pub struct MachineArgs {
    /// A YAML file with settings; flags win over it
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The procfs of the machine to watch [default: /proc]
    #[arg(long = "path.procfs", value_name = "DIR")]
    pub procfs: Option<PathBuf>,
    /// The root directory of the machine to watch [default: /]
    #[arg(long = "path.rootfs", value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
}

/// Where to listen.
#[derive(Debug, Clone, Default, Args)]
pub struct WebArgs {
    /// Addresses to listen on.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        help = "Address to listen on, as :9469, 127.0.0.1:9469, [::1]:9469 or unix:///run/highwater.sock; may be repeated [default: :9469]"
    )]
    pub listen: Vec<ListenAddress>,
    /// Listen on the sockets that systemd hands over, instead of on addresses
    #[arg(long = "web.systemd-socket", conflicts_with = "listen")]
    pub systemd_socket: bool,
    /// Name under which a browser may reach this agent, as node-1.example.com, *.example.com or *; may be repeated [default: IP
    /// addresses, localhost and the machine's own name]
    #[arg(long = "web.allowed-host", value_name = "NAME")]
    pub allowed_hosts: Vec<HostPattern>,
    /// A YAML file with TLS and users, in the format of Prometheus' exporter-toolkit; read again when it changes
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
    /// Path of the metrics [default: /metrics]
    #[arg(long = "web.telemetry-path", value_name = "PATH")]
    pub telemetry_path: Option<String>,
}

/// What to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// The least severity that is logged
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub level: LogLevel,
    /// The form of the log, which goes to standard error
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Text)]
    pub format: LogFormat,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
    }
}

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables for people
    Table,
    /// JSON with a schema version
    Json,
}

/// Severities of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Only what keeps highwater from its work
    Error,
    /// What somebody should look at
    Warn,
    /// What happens
    Info,
    /// More
    Debug,
}

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text for each event
    Text,
    /// One JSON object for each event
    Json,
}

fn span(text: &str) -> Result<Span, String> {
    humantime::parse_duration(text).map(Span::from).map_err(|_| "write a duration as 30s, 5m or 1h30m".to_owned())
}

/// The pause of `--watch`: a duration, or seconds as watch(1) takes them.
fn period(text: &str) -> Result<Span, String> {
    let period = match text.parse::<f64>() {
        Ok(seconds) => Span::from_secs_f64(seconds),
        Err(_) => span(text)?,
    };
    if (Span::from_millis(500)..=Span::from_secs(3_600)).contains(&period) {
        Ok(period)
    } else {
        Err("the pause is at least 0.5s and at most 1h".to_owned())
    }
}

fn recording_size(text: &str) -> Result<Bytes, String> {
    let size: Bytes = text.parse().map_err(|error: SizeError| error.to_string())?;
    if size < Bytes::from_mib(1) { Err("the least size is 1MiB".to_owned()) } else { Ok(size) }
}

/// A point in time as RFC 3339, or as seconds since 1970.
fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok(Timestamp::from_secs_f64(seconds));
    }
    text.parse().map_err(|error: TimeError| error.to_string())
}

impl Cli {
    /// What was typed, the name of the program first.
    ///
    /// # Errors
    /// A mistake in it, or the text of `--help`: what [`clap::Error::exit`] prints.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let problem = match &cli.command {
            Some(Command::Check(args)) => args.origin.idle(args.usage_timeout.is_some()),
            Some(Command::Explain(args)) => args.origin.idle(false),
            _ => None,
        };
        let Some(problem) = problem else { return Ok(cli) };
        let subcommand = matches.subcommand_name().and_then(|name| command.find_subcommand_mut(name));
        Err(subcommand.unwrap_or(&mut Self::command()).error(ErrorKind::ArgumentConflict, problem))
    }
}

impl RunArgs {
    /// The settings that these flags override.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            sample_interval: self.sample_interval,
            runtime_interval: self.runtime_interval,
            usage_interval: self.usage_interval,
            storage: self.storage.clone(),
            ..self.web.onto(self.machine.overrides())
        }
    }
}

impl CheckArgs {
    /// The settings that these flags override.
    pub fn overrides(&self) -> Overrides {
        Overrides { critical: self.critical, warning: self.warning, ..self.origin.machine.overrides() }
    }

    /// Whether the agent of this machine is sought: unless a flag names one, or says how to measure this machine.
    pub fn seeks_local(&self) -> bool {
        self.origin.seeks_local() && self.usage_timeout.is_none()
    }
}

impl ExplainArgs {
    /// The settings that these flags override.
    pub fn overrides(&self) -> Overrides {
        self.origin.machine.overrides()
    }
}

impl OriginArgs {
    /// Whether the agent of this machine is sought: unless a flag names one, or says how to measure this machine.
    pub fn seeks_local(&self) -> bool {
        self.agent.agent.is_none() && self.window.is_none() && !self.machine.is_elsewhere()
    }
}

impl OriginArgs {
    /// Why a flag would do nothing, and what helps. clap knows of flags that exclude each other, but not of their values.
    /// `counts`: whether it is also said how to count who holds what.
    fn idle(&self, counts: bool) -> Option<&'static str> {
        let looks = self.window.is_some() || self.machine.is_elsewhere() || counts;
        let asks = matches!(self.agent.agent, Some(AgentChoice::At(_)));
        let looks_in_vain = (looks && asks).then_some(
            "--window, --usage.timeout, --path.procfs and --path.rootfs say how to measure this machine, and the agent that --agent \
             names has measured its own: leave them out, or leave out --agent",
        );
        self.agent.idle_file().or(looks_in_vain)
    }
}

impl AgentArgs {
    /// Why nobody would read the file, and what helps.
    fn idle_file(&self) -> Option<&'static str> {
        self.agent_config_file.as_ref()?;
        match self.agent {
            Some(AgentChoice::At(_)) => None,
            Some(AgentChoice::None) => Some(
                "--agent.config.file says how an agent is asked, and --agent none asks nobody: name the agent, as --agent \
                 https://node-1:9469, or leave the file out",
            ),
            None => Some(
                "--agent.config.file is only for the agent that --agent names: the one that is sought on this machine is asked \
                 without a login, which anybody who listens there first could read; name it, as --agent https://node-1:9469",
            ),
        }
    }

    /// The agent that is named, if one is.
    pub fn named(&self) -> Option<Agent> {
        match &self.agent {
            Some(AgentChoice::At(address)) => {
                Some(Agent { address: address.clone(), config: self.agent_config_file.clone() })
            }
            Some(AgentChoice::None) | None => None,
        }
    }
}

impl DemoArgs {
    /// The settings that these flags override.
    pub fn overrides(&self) -> Overrides {
        self.web.onto(Overrides::default())
    }
}

impl WebArgs {
    fn onto(&self, overrides: Overrides) -> Overrides {
        Overrides {
            listen: self.listen.clone(),
            systemd_socket: self.systemd_socket,
            allowed_hosts: self.allowed_hosts.clone(),
            web_file: self.web_config_file.clone(),
            telemetry_path: self.telemetry_path.clone(),
            ..overrides
        }
    }
}

impl MachineArgs {
    /// Whether a flag says where the machine is to be found.
    fn is_elsewhere(&self) -> bool {
        self.procfs.is_some() || self.rootfs.is_some()
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            file: self.config_file.clone(),
            procfs: self.procfs.clone(),
            rootfs: self.rootfs.clone(),
            ..Overrides::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_flag_that_would_do_nothing_is_a_mistake_that_says_what_helps() {
        let read = |flags: &[&str]| {
            let arguments = ["highwater"].iter().chain(flags).map(OsString::from);
            Cli::read(arguments).map_err(|error| (error.exit_code(), error.to_string()))
        };
        let file = "--agent.config.file=/nowhere";
        for command in ["check", "explain"] {
            for (agent, says) in [
                (&["--agent", "none"][..], "--agent none asks nobody: name the agent, as --agent https://"),
                (&[], "--agent names: the one that is sought on this machine is asked without a login"),
                (&["--window", "1s"], "--agent.config.file is only for the agent that --agent names"),
            ] {
                let (code, text) = read(&[&[command, file], agent].concat()).unwrap_err();
                assert!(code == 2 && text.starts_with("error: ") && text.contains(says), "{text}");
                assert!(text.contains(&format!("Usage: highwater {command} [OPTIONS]")), "{text}");
            }
            assert!(read(&[command, file, "--agent", "https://node-1:9469"]).is_ok());
            assert!(read(&[command, "--agent", "none"]).is_ok());
        }
        let agent = ["--agent", "http://node-1:9469"];
        for flag in ["--window=1s", "--path.procfs=/proc", "--path.rootfs=/", "--usage.timeout=1s"] {
            let (code, text) = read(&[&["check", flag], &agent[..]].concat()).unwrap_err();
            assert!(code == 2 && text.contains("leave them out, or leave out --agent"), "{text}");
            assert!(read(&["check", flag, "--agent", "none"]).is_ok());
        }
        assert!(read(&[&["explain", "--window=1s"], &agent[..]].concat()).is_err());
        assert!(read(&[&["check", "--critical=1m", "--config.file=/etc/highwater.yaml"], &agent[..]].concat()).is_ok());
        let (code, text) = read(&["explain", "--recording", "node.rec", file]).unwrap_err();
        assert!(code == 2 && text.contains("cannot be used with '--agent.config.file <FILE>'"), "{text}");
        assert_eq!(read(&["--help"]).unwrap_err().0, 0);
    }

    #[test]
    fn flags_of_run_may_be_given_without_naming_it() {
        let cli =
            Cli::try_parse_from(["highwater", "--web.listen-address=127.0.0.1:1", "--sample.interval", "2s"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.run.sample_interval, Some(Span::from_secs(2)));
    }
}
