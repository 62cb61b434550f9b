//! metrics_server
