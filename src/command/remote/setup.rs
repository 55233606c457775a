//! What is needed before an agent is asked? Its configuration file, and what that names: passwords, certificates, authorities.
//! They are read anew for each question, so that `check --watch` follows a token or a certificate that is renewed.

use super::setup_error::SetupError;
use super::tls::Tls;
use crate::config::client::{ClientConfig, Login};
use crate::config::{Agent, AgentAddress, Contents};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

/// What a question is asked with.
pub(super) struct Setup {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) tls: Option<Tls>,
}

/// Reads what the agent's configuration file names, and of TLS only what its address needs.
pub(super) fn setup(agent: &Agent) -> Result<Setup, SetupError> {
    let config = agent.config.as_deref().map(ClientConfig::read).transpose()?.unwrap_or_default();
    let authorization = config.login.as_ref().map(authorization).transpose()?;
    let tls = match &agent.address {
        AgentAddress::Web { tls: Some(host), .. } => Some(Tls::new(&config.tls, host)?),
        AgentAddress::Web { tls: None, .. } | AgentAddress::Unix(_) => None,
    };
    Ok(Setup { authorization, tls })
}

/// The value of the header `Authorization`.
fn authorization(login: &Login) -> Result<HeaderValue, SetupError> {
    let (text, what, contents) = match login {
        Login::Basic { user, password } => {
            let name = text(user, "username")?;
            if name.contains(':') {
                let problem = "it has a colon";
                return Err(SetupError::Unsendable { what: "username", contents: user.clone(), problem });
            }
            let pair = format!("{name}:{}", text(password, "password")?);
            (format!("Basic {}", STANDARD.encode(pair)), "password", password)
        }
        Login::Token { scheme, credentials } => {
            (format!("{scheme} {}", text(credentials, "credentials")?), "credentials", credentials)
        }
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| SetupError::Unsendable {
        what,
        contents: contents.clone(),
        problem: "a header is one line of text",
    })?;
    // Not to be printed by anybody.
    value.set_sensitive(true);
    Ok(value)
}

/// The text, where it is in a file without the space around it, as Prometheus reads it.
fn text(contents: &Contents, what: &'static str) -> Result<String, SetupError> {
    let text = contents.read(what)?;
    Ok(match contents {
        Contents::File(_) => text.trim().to_owned(),
        Contents::Inline(_) => text.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_the_standard_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            Contents::File(folder.path().join(name))
        };
        let inline = |text: &str| Contents::Inline(text.to_owned());
        let token = |credentials| Login::Token { scheme: "Bearer".to_owned(), credentials };
        for (login, value) in [
            (
                Login::Basic { user: inline("Aladdin"), password: inline("open sesame") },
                Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            (
                Login::Basic { user: file("user", "Aladdin\n"), password: file("password", " open sesame\r\n") },
                Ok("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            (token(file("token", "abc.def\n")), Ok("Bearer abc.def")),
            (
                token(inline("abc\ndef")),
                Err("the credentials in the configuration cannot be sent: a header is one line of text"),
            ),
            (
                Login::Basic { user: file("pair", "a:hunter2"), password: inline("") },
                Err("the username in FOLDER/pair cannot be sent: it has a colon"),
            ),
            (
                Login::Basic { user: inline("a"), password: Contents::File(folder.path().join("none")) },
                Err("cannot read the password in FOLDER/none: No such file or directory (os error 2)"),
            ),
        ] {
            let header = authorization(&login);
            if let Ok(header) = &header {
                assert_eq!(format!("{header:?}"), "Sensitive");
            }
            let shown = header.as_ref().map(|header| header.to_str().unwrap()).map_err(|error| {
                crate::error_chain::error_chain(error).replace(folder.path().to_str().unwrap(), "FOLDER")
            });
            assert_eq!(shown, value.map_err(str::to_owned));
        }
    }
}
