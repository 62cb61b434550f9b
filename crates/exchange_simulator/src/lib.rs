//! exchange_simulator
