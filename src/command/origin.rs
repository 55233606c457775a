//! Where does an answer come from, and how old is it? The last line of a table.

use crate::config::AgentAddress;
use crate::time::Span;

/// From an agent, whose sample is of this age; `stale`: it has stopped sampling.
pub(super) fn of_agent(address: &AgentAddress, age: Span, stale: bool) -> String {
    let age = age.max(Span::ZERO);
    let stale = if stale { ", which has stopped sampling" } else { "" };
    format!("From the agent at {address}{stale}: sampled {age} ago.")
}

/// From a look at this machine for `window`.
pub(super) fn of_look(window: Span) -> String {
    format!("Measured just now, for {window}; a running agent knows more.")
}
