//! Frames of every kind that matters, by venue: the last one of each list is what is looked at, those before it bring the
//! session there. Written after the shapes of the venues' documentation.

/// The names are those of the venues, `level2` for Coinbase with a kept book and `kraken-book` for Kraken with one.
pub(crate) const FRAMES: &[(&str, &[&str])] = &[
    (
        "coinbase",
        &[
            r#"{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8","taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2026-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"64400.23","side":"sell"}"#,
        ],
    ),
    (
        "coinbase",
        &[
            r#"{"type":"ticker","sequence":3,"product_id":"BTC-USD","best_bid":"1285.04","best_bid_size":"0.4","best_ask":"1285.27","best_ask_size":"1.5","time":"2022-10-19T23:28:22.061769Z"}"#,
        ],
    ),
    ("coinbase", &[r#"{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD"}"#]),
    ("coinbase", &[r#"{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}"#]),
    ("coinbase", &[r#"{"type":"error","message":"Failed to subscribe","reason":"BTC-USD is delisted"}"#]),
    (
        "level2",
        &[
            r#"{"type":"snapshot","product_id":"BTC-USD","bids":[["10101.10","0.45"],["10100.00","1"]],"asks":[["10102.55","0.57"]]}"#,
        ],
    ),
    (
        "level2",
        &[
            r#"{"type":"snapshot","product_id":"BTC-USD","bids":[["10101.10","0.45"]],"asks":[["10102.55","0.57"]]}"#,
            r#"{"type":"l2update","product_id":"BTC-USD","time":"2019-08-14T20:42:27.265Z","changes":[["buy","10101.80","0.162567"],["sell","10102.55","0.00"]]}"#,
        ],
    ),
    (
        "binance",
        &[
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}}"#,
        ],
    ),
    (
        "binance",
        &[
            r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":7,"f":5,"l":9,"p":"0.001","q":"100","T":1672515782136,"m":false}}"#,
        ],
    ),
    (
        "binance",
        &[
            r#"{"stream":"btcusdt@bookTicker","data":{"u":400900217,"s":"BTCUSDT","b":"25.3","B":"31.2","a":"25.4","A":"40.6"}}"#,
        ],
    ),
    ("binance", &[r#"{"result":null,"id":1}"#]),
    ("binance", &[r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#]),
    (
        "kraken",
        &[
            r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":63500.1,"bid_qty":1.25,"ask":63500.2,"ask_qty":0.84,"last":63500.2,"volume":4210.42,"timestamp":"2026-07-26T12:00:00.123456789Z"}]}"#,
        ],
    ),
    (
        "kraken",
        &[
            r#"{"channel":"trade","type":"snapshot","data":[{"symbol":"BTC/USD","side":"buy","price":63500.2,"qty":0.02,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"BTC/USD","side":"sell","price":63500.1,"qty":0.5,"ord_type":"limit","trade_id":4665905,"timestamp":"2023-09-25T07:49:36.5Z"}]}"#,
        ],
    ),
    (
        "kraken",
        &[
            r#"{"channel":"status","type":"update","data":[{"version":"2.0.9","system":"maintenance","api_version":"v2","connection_id":13834774380200032777}]}"#,
        ],
    ),
    (
        "kraken",
        &[
            r#"{"method":"subscribe","result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2025-04-27T15:38:26.540456Z","time_out":"2025-04-27T15:38:26.540486Z","req_id":2}"#,
        ],
    ),
    (
        "kraken",
        &[
            r#"{"error":"Currency pair not supported BTC/USD","method":"subscribe","req_id":1,"success":false,"symbol":"BTC/USD","time_in":"2025-04-27T15:38:26.540456Z","time_out":"2025-04-27T15:38:26.540486Z"}"#,
        ],
    ),
    (
        "kraken",
        &[r#"{"method":"pong","req_id":101,"time_in":"2025-04-27T15:38:26.5Z","time_out":"2025-04-27T15:38:26.6Z"}"#],
    ),
    (
        "kraken-book",
        &[
            r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":63500.1,"qty":1.25000000}],"asks":[{"price":63500.2,"qty":0.84000000},{"price":63501.0,"qty":1.00000000}]}]}"#,
            r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":63500.1,"qty":2.5}],"asks":[{"price":63500.2,"qty":0}],"checksum":1,"timestamp":"2026-07-26T12:00:00.5Z"}]}"#,
        ],
    ),
    (
        "okx",
        &[
            r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","seqId":123456}]}"#,
        ],
    ),
    (
        "okx",
        &[
            r#"{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","source":"0"}]}"#,
        ],
    ),
    ("okx", &[r#"{"id":"1","event":"subscribe","arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"connId":"a4d3ae55"}"#]),
    ("okx", &[r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed","connId":"a4d3ae55"}"#]),
    ("bitfinex", &[r#"{"event":"subscribed","channel":"trades","chanId":19111,"symbol":"tBTCUSD","pair":"BTCUSD"}"#]),
    (
        "bitfinex",
        &[
            r#"{"event":"subscribed","channel":"trades","chanId":19111,"symbol":"tBTCUSD","pair":"BTCUSD"}"#,
            r#"[19111,"te",[401597395,1574694478808,-0.005,7245.3],7,1574694478900]"#,
        ],
    ),
    (
        "bitfinex",
        &[
            r#"{"event":"subscribed","channel":"trades","chanId":19111,"symbol":"tBTCUSD","pair":"BTCUSD"}"#,
            r#"[19111,[[401597395,1574694478808,0.005,7245.3],[401597394,1574694478008,-1.5e-7,7245.2]],2]"#,
        ],
    ),
    (
        "bitfinex",
        &[
            r#"{"event":"subscribed","channel":"book","chanId":17,"symbol":"tBTCUSD","prec":"P0","freq":"F0","len":"25","pair":"BTCUSD"}"#,
            r#"[17,[[8744.9,2,0.45],[8744.8,1,1.5],[8745.5,3,-2.25]],1,1574694475000]"#,
            r#"[17,[8745.1,1,0.25],2,1574694475039]"#,
        ],
    ),
    ("bitfinex", &[r#"{"event":"info","code":20051,"msg":"Stopping. Please try to reconnect"}"#]),
];
