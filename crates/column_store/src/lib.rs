//! column_store
