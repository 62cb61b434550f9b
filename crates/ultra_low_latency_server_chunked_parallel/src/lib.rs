//! ultra_low_latency_server_chunked_parallel
