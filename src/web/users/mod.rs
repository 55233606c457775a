//! Who is asking? Basic authentication with bcrypt, so that neither time nor load tells more than the answer.
//!
//! A check takes about 50 ms of one core by intent, so it runs beside the server, one at a time. What was checked once is
//! remembered under a keyed hash, never the password. Users who do not exist take the same work as others.

mod queue;

use super::stream::Source;
use crate::config::web::PasswordHash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use queue::{Attempt, Key, Queue, Recent};
use ring::hmac;
use ring::rand::SystemRandom;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use tokio::sync::oneshot;

/// What is said to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go on.
    Granted,
    /// No, or no credentials.
    Denied,
    /// Too many ask at once; try again.
    Busy,
}

/// Checks credentials, and remembers what came of it.
pub(super) struct Users {
    secret: hmac::Key,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    remembered: Remembered,
    queue: Queue,
    /// Whether a thread is checking.
    checking: bool,
}

/// Right and wrong credentials, each in a memory of its own.
#[derive(Debug)]
struct Remembered {
    right: Recent<Key>,
    wrong: Recent<Key>,
}

/// More users than anybody has in such a file.
const RIGHT: usize = 256;
const WRONG: usize = 1_024;

impl Default for Remembered {
    fn default() -> Self {
        Self { right: Recent::new(RIGHT), wrong: Recent::new(WRONG) }
    }
}

impl Remembered {
    fn answer(&self, key: &Key) -> Option<bool> {
        if self.right.contains(key) {
            Some(true)
        } else if self.wrong.contains(key) {
            Some(false)
        } else {
            None
        }
    }

    fn keep(&mut self, key: Key, granted: bool) {
        if granted { &mut self.right } else { &mut self.wrong }.insert(key);
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

/// Said when the system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("no random key for remembered passwords can be had")]
pub struct NoRandomness;

impl Users {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| NoRandomness)?;
        Ok(Self { secret, state: Mutex::default() })
    }

    /// Whether the credentials of a request are those of a user. `failures` is how often this connection was denied before.
    pub(super) async fn admit(
        self: &Arc<Self>,
        users: &BTreeMap<String, PasswordHash>,
        authorization: Option<&HeaderValue>,
        source: Source,
        failures: u32,
    ) -> Admission {
        let Some((name, password)) = authorization.and_then(credentials) else { return Admission::Denied };
        let user = std::str::from_utf8(&name).ok().and_then(|name| users.get(name));
        let costliest = users.values().map(PasswordHash::cost).max().unwrap_or_default();
        let hash = user.cloned().unwrap_or_else(|| PasswordHash::of_nobody(costliest));
        let attempt = Attempt { key: self.key(&name, &password, &hash), password, hash, exists: user.is_some() };
        let answer = {
            let mut state = self.state();
            if let Some(granted) = state.remembered.answer(&attempt.key) {
                return if granted { Admission::Granted } else { Admission::Denied };
            }
            let answer = state.queue.push(attempt, source, failures);
            if !state.checking {
                let users = Arc::clone(self);
                match Builder::new().name("passwords".to_owned()).spawn(move || users.check_all()) {
                    Ok(_) => state.checking = true,
                    Err(error) => {
                        // Tried again when the client is back.
                        tracing::warn!(%error, "no thread can be started to check a password");
                        return Admission::Busy;
                    }
                }
            }
            answer
        };
        match answer.await {
            Ok(true) => Admission::Granted,
            Ok(false) => Admission::Denied,
            // Pushed out of the queue by others.
            Err(oneshot::error::RecvError { .. }) => Admission::Busy,
        }
    }

    /// Checks what waits, until nothing does.
    fn check_all(&self) {
        loop {
            let Some(attempt) = self.next() else { return };
            // bcrypt compares in constant time. The hash was parsed before, so that an error is a password that has none.
            let matches = bcrypt::verify(&attempt.password, attempt.hash.as_str()).unwrap_or(false);
            let granted = matches && attempt.exists;
            let clients = {
                let mut state = self.state();
                state.remembered.keep(attempt.key, granted);
                state.queue.checked()
            };
            for client in clients {
                // A client may have gone.
                client.send(granted).ok();
            }
        }
    }

    fn next(&self) -> Option<Attempt> {
        let mut state = self.state();
        let next = state.queue.pop();
        state.checking = next.is_some();
        next
    }

    fn key(&self, name: &[u8], password: &[u8], hash: &PasswordHash) -> Key {
        let mut context = hmac::Context::with_key(&self.secret);
        // Lengths keep `a` + `bc` apart from `ab` + `c`. The hash is part of it: a changed password asks anew.
        for part in [name, password, hash.as_str().as_bytes()] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut key = Key::default();
        key.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name and password of a header in the form of RFC 7617.
fn credentials(header: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut name = STANDARD.decode(rest.trim()).ok()?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let password = name.split_off(colon).into_iter().skip(1).collect();
    Some((name, password))
}

#[cfg(test)]
mod tests;
