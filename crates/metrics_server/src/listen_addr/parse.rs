//! Reads a [`ListenAddr`].

use super::{ListenAddr, ListenAddrError, ListenSocket, MODE_DEFAULT};

pub(super) fn listen_addr(text: &str) -> Result<ListenAddr, ListenAddrError> {
    let (socket, options) = match text.split_once(',') {
        Some((socket, options)) => (socket, Some(options)),
        None => (text, None),
    };
    let mut address = ListenAddr { socket: listen_socket(socket, text)?, plain: false };
    let mut seen = Vec::new();
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        apply(&mut address, option, text)?;
        if seen.contains(&name) {
            return Err(ListenAddrError::Twice { value: text.to_owned(), option: name.to_owned() });
        }
        seen.push(name);
    }
    Ok(address)
}

fn listen_socket(socket: &str, text: &str) -> Result<ListenSocket, ListenAddrError> {
    let value = || text.to_owned();
    if let Some(path) = socket.strip_prefix("unix:") {
        return match path {
            "" => Err(ListenAddrError::Path { value: value() }),
            path => Ok(ListenSocket::Unix { path: path.into(), mode: MODE_DEFAULT, group: None }),
        };
    }
    if socket == "systemd" {
        return Ok(ListenSocket::Systemd { name: None });
    }
    if let Some(name) = socket.strip_prefix("systemd:") {
        // Colons separate the names in LISTEN_FDNAMES, so that none has one.
        return match name {
            "" => Err(ListenAddrError::SystemdName { value: value() }),
            name if name.contains(':') => Err(ListenAddrError::SystemdName { value: value() }),
            name => Ok(ListenSocket::Systemd { name: Some(name.to_owned()) }),
        };
    }
    let (host, port) = socket.rsplit_once(':').ok_or_else(|| ListenAddrError::Form { value: value() })?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']').unwrap_or_default(),
        // A bare IPv6 address would read as a host with a port made of its last group.
        None if host.contains(':') => "",
        None => host,
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/[]@".contains(c)) {
        return Err(ListenAddrError::Form { value: value() });
    }
    // `u16::from_str` takes a leading `+`, which is no way to write a port.
    let number = Some(port).filter(|port| !port.starts_with('+')).and_then(|port| port.parse().ok());
    let port = number.ok_or_else(|| ListenAddrError::Port { value: value(), port: port.to_owned() })?;
    Ok(ListenSocket::Tcp { host: host.to_owned(), port })
}

fn apply(address: &mut ListenAddr, option: &str, text: &str) -> Result<(), ListenAddrError> {
    let value = || text.to_owned();
    match (option.split_once('='), &mut address.socket) {
        (None, _) if option == "plain" => address.plain = true,
        (Some(("mode", octal)), ListenSocket::Unix { mode, .. }) => {
            let bits = Some(octal).filter(|octal| octal.bytes().all(|byte| byte.is_ascii_digit()));
            let bits = bits.and_then(|octal| u32::from_str_radix(octal, 8).ok()).filter(|bits| *bits <= 0o777);
            *mode = bits.ok_or_else(|| ListenAddrError::Mode { value: value(), mode: octal.to_owned() })?;
        }
        (Some(("group", "")), ListenSocket::Unix { .. }) => return Err(ListenAddrError::Group { value: value() }),
        (Some(("group", name)), ListenSocket::Unix { group, .. }) => *group = Some(name.to_owned()),
        (_, socket) => {
            let known = match socket {
                ListenSocket::Unix { .. } => "mode=0660, group=NAME and plain",
                ListenSocket::Tcp { .. } | ListenSocket::Systemd { .. } => "plain",
            };
            return Err(ListenAddrError::Option { value: value(), option: option.to_owned(), known });
        }
    }
    Ok(())
}
