//! exchange_protocol
