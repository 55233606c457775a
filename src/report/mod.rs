//! What is known of a node, joined and concluded? One value that every surface renders, made here or read from another agent.
//!
//! Its serde form is the JSON of `check -o json` and of the API, described in docs/json.md: a field is added here, where it is
//! concluded (`conclude/`), and in its renderers. What is not known is `None`, never 0. A word or field of a newer agent is
//! no error, and text of another machine is sanitized as it is read.

mod agent;
mod conclude;
pub mod explanation;
mod filesystem;
mod images;
mod layer;
mod node;
mod policy;
mod problem;
mod remedy;
mod text;
mod trigger;
mod verdict;
mod word;

pub use crate::assess::Urgency;
pub use agent::{AgentReport, HorizonScore, ScoreReport};
pub use conclude::explanation::{Question, UnknownLayer};
pub use explanation::Explanation;
pub use filesystem::{
    ComponentBytes, ErrorReport, ExpectedTriggerReport, FilesystemReport, HolderReport, LayerUsageReport,
    PreemptedByReport, UsageReport,
};
pub use images::{AtRisk, Count, ImagesReport, VictimsReport};
pub use layer::{KubeletReport, LayerReport, RuntimeReport, SourceReport};
pub use node::{Report, SCHEMA_VERSION};
pub use policy::{PolicyReport, SettingReport, ThresholdReport};
pub use problem::Problem;
pub use remedy::{Edit, RemedyKind, RemedyReport, RunIn, SettingsOf};
pub use text::Text;
pub use trigger::{ForecastReport, TriggerReport, Unit};
pub use verdict::{Reason, VerdictReport};
pub use word::{Named, Word};
