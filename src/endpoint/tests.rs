//! Tables: a host, and what must come of it.

use super::*;

fn parse(host: &str) -> Result<Endpoint> {
    Endpoint::parse(
        &Address {
            host,
            ..Address::default()
        },
        || None,
    )
}

#[test]
fn rds_hosts() {
    use Kind::{Rds, RdsProxy};
    for (host, kind, region, partition) in [
        (
            "db.abc123def456.us-east-1.rds.amazonaws.com",
            Rds,
            "us-east-1",
            "aws",
        ),
        (
            "db.cluster-abc123.us-east-2.rds.amazonaws.com",
            Rds,
            "us-east-2",
            "aws",
        ),
        (
            "db.cluster-ro-abc123.us-east-2.rds.amazonaws.com",
            Rds,
            "us-east-2",
            "aws",
        ),
        (
            "analytics.cluster-custom-abc123.us-east-2.rds.amazonaws.com",
            Rds,
            "us-east-2",
            "aws",
        ),
        (
            "db.shardgrp-abc123.us-east-2.rds.amazonaws.com",
            Rds,
            "us-east-2",
            "aws",
        ),
        (
            "db-green-0a1b2c.abc123.eu-west-1.rds.amazonaws.com",
            Rds,
            "eu-west-1",
            "aws",
        ),
        (
            "db-old1.cluster-abc123.eu-west-1.rds.amazonaws.com",
            Rds,
            "eu-west-1",
            "aws",
        ),
        (
            "p.proxy-abc123.us-east-2.rds.amazonaws.com",
            RdsProxy,
            "us-east-2",
            "aws",
        ),
        (
            "reader.endpoint.proxy-abc123.us-east-2.rds.amazonaws.com",
            RdsProxy,
            "us-east-2",
            "aws",
        ),
        (
            "db.abc123.us-gov-west-1.rds.amazonaws.com",
            Rds,
            "us-gov-west-1",
            "aws-us-gov",
        ),
        (
            "db.cluster-abc123.rds.us-gov-east-1.amazonaws.com",
            Rds,
            "us-gov-east-1",
            "aws-us-gov",
        ),
        (
            "db.abc123.us-gov-east-1.rds-fips.amazonaws.com",
            Rds,
            "us-gov-east-1",
            "aws-us-gov",
        ),
        (
            "db.cluster-abc123.rds.us-iso-east-1.c2s.ic.gov",
            Rds,
            "us-iso-east-1",
            "aws-iso",
        ),
        (
            "db.cluster-abc123.rds.us-isob-east-1.sc2s.sgov.gov",
            Rds,
            "us-isob-east-1",
            "aws-iso-b",
        ),
        (
            "db.cluster-abc123.rds.eu-isoe-west-1.cloud.adc-e.uk",
            Rds,
            "eu-isoe-west-1",
            "aws-iso-e",
        ),
        (
            "db.cluster-abc123.rds.us-isof-south-1.csp.hci.ic.gov",
            Rds,
            "us-isof-south-1",
            "aws-iso-f",
        ),
        (
            "db.cluster-abc123.eusc-de-east-1.rds.amazonaws.eu",
            Rds,
            "eusc-de-east-1",
            "aws-eusc",
        ),
        (
            "db.cluster-abc123.rds.cn-northwest-1.amazonaws.com.cn",
            Rds,
            "cn-northwest-1",
            "aws-cn",
        ),
        (
            "db.cluster-abc123.cn-north-1.rds.amazonaws.com.cn",
            Rds,
            "cn-north-1",
            "aws-cn",
        ),
        (
            "p.proxy-abc123.rds.cn-northwest-1.amazonaws.com.cn",
            RdsProxy,
            "cn-northwest-1",
            "aws-cn",
        ),
        // Case and a final dot change nothing.
        (
            "DB.Cluster-ABC123.US-East-2.RDS.AmazonAWS.com",
            Rds,
            "us-east-2",
            "aws",
        ),
        (
            "db.proxy-abc123.us-east-2.rds.amazonaws.com.",
            RdsProxy,
            "us-east-2",
            "aws",
        ),
        ("my-rds.rds.us-east-1.rds.amazonaws.com", Rds, "us-east-1", "aws"),
    ] {
        let endpoint = parse(host).unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(endpoint.kind, kind, "{host}");
        assert_eq!(endpoint.region, region, "{host}");
        assert_eq!(endpoint.partition.name, partition, "{host}");
        assert_eq!(endpoint.token_host, host.trim_end_matches('.'), "{host}");
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port),
            (host, DEFAULT_PORT),
            "{host}"
        );
        assert_eq!(endpoint.cluster_id, None, "{host}");
    }
}

#[test]
fn dsql_hosts() {
    let id = "abcdefghij0123456789klmnop";
    for (host, region) in [
        (format!("{id}.dsql.us-east-1.on.aws"), "us-east-1"),
        (format!("{id}.dsql-fnh4.us-east-1.on.aws"), "us-east-1"),
        (format!("{id}.DSQL.eu-west-2.On.Aws."), "eu-west-2"),
    ] {
        let endpoint = parse(&host).unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(endpoint.kind, Kind::Dsql, "{host}");
        assert_eq!(endpoint.region, region, "{host}");
        assert_eq!(endpoint.cluster_id.as_deref(), Some(id), "{host}");
    }
}

#[test]
fn a_bare_cluster_id_takes_the_region_from_the_caller_then_from_around() {
    let id = "abcdefghij0123456789KLMNOP";
    let written_out = "abcdefghij0123456789klmnop.dsql.eu-west-2.on.aws";
    let address = Address {
        host: id,
        ..Address::default()
    };
    let ambient = Endpoint::parse(&address, || Some("eu-west-2".into())).expect("ambient region");
    assert_eq!(
        (ambient.host.as_str(), ambient.token_host.as_str()),
        (written_out, written_out)
    );
    let given = Address {
        region: Some("eu-west-2"),
        ..address
    };
    assert_eq!(
        Endpoint::parse(&given, || Some("us-east-1".into())).expect("given region"),
        ambient
    );
    assert!(Endpoint::parse(&address, || None).is_err());
    let china = Address {
        region: Some("cn-north-1"),
        ..address
    };
    assert!(Endpoint::parse(&china, || None).is_err());
    // A tunnel to a cluster: the id is signed, the tunnel is dialled.
    let tunnel = Address {
        host: "localhost",
        token_host: Some(id),
        ..address
    };
    let tunnel = Endpoint::parse(&tunnel, || Some("eu-west-2".into())).expect("tunnel");
    assert_eq!(
        (tunnel.host.as_str(), tunnel.token_host.as_str()),
        ("localhost", written_out)
    );
}

#[test]
fn token_host_decides() {
    let real = "db.proxy-abc123.eu-west-1.rds.amazonaws.com";
    let tunnel = Address {
        host: "127.0.0.1",
        port: Some(15_432),
        ..Address::default()
    };
    let endpoint = |token_host| {
        Endpoint::parse(
            &Address {
                token_host: Some(token_host),
                ..tunnel
            },
            || None,
        )
    };
    let same_port = endpoint(real).expect(real);
    assert_eq!(
        (same_port.kind, same_port.region.as_str()),
        (Kind::RdsProxy, "eu-west-1")
    );
    assert_eq!((same_port.host.as_str(), same_port.port), ("127.0.0.1", 15_432));
    assert_eq!(
        (same_port.token_host.as_str(), same_port.token_port),
        (real, 15_432)
    );
    let with_port = format!("{real}:5432");
    let own_port = endpoint(&with_port).expect("with a port");
    assert_eq!(
        (own_port.token_host.as_str(), own_port.token_port, own_port.port),
        (real, 5432, 15_432)
    );
    for wrong in [
        "",
        ":5432",
        "db.x:0",
        "db.x:65536",
        "db.x:y",
        "db.x:5432:1",
        "::1",
        "localhost",
    ] {
        assert!(endpoint(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_given_region_serves_names_without_one_and_contradicts_no_other() {
    let with = |host, region| {
        Endpoint::parse(
            &Address {
                host,
                region: Some(region),
                ..Address::default()
            },
            || None,
        )
    };
    let global = "gdb.global-abc123.global.rds.amazonaws.com";
    assert_eq!(with(global, "eu-west-1").expect(global).region, "eu-west-1");
    for host in ["db.example.com", "localhost", "10.0.0.7", "db"] {
        let endpoint = with(host, "EU-West-1").unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(
            (endpoint.kind, endpoint.region.as_str()),
            (Kind::Rds, "eu-west-1"),
            "{host}"
        );
    }
    let host = "db.abc123.us-east-1.rds.amazonaws.com";
    assert_eq!(with(host, "US-EAST-1").expect(host).region, "us-east-1");
    assert!(with(host, "us-east-2").is_err());
    for region in [
        "",
        "global",
        "us",
        "us-east",
        "us-east-",
        "us-east-1a",
        "us_east_1",
        "eu-west-1\n",
        "-west-1",
    ] {
        assert!(with("db.example.com", region).is_err(), "{region}");
    }
}

#[test]
fn refused_hosts_say_why() {
    // From the unit tests of the AWS wrappers' RdsUtils, and of our own making.
    for (host, said) in [
        (
            "db.cluster-abc.rds.cn-northwest-1.rds.amazonaws.com.cn",
            "no database endpoint",
        ),
        (
            "db.cluster-abc.rds.cn-northwest-1.amazonaws.com",
            "amazonaws.com.cn",
        ),
        ("db.cluster-abc.rds.amazonaws.com.cn", "no database endpoint"),
        ("db.cluster-abc.rds.amazonaws.com", "no database endpoint"),
        ("rds.us-east-1.amazonaws.com", "no database endpoint"),
        ("db.us-east-1.rds.amazonaws.com", "no database endpoint"),
        ("a.b.c.us-east-1.rds.amazonaws.com", "no database endpoint"),
        (
            "a.endpoint.abc123.us-east-1.rds.amazonaws.com",
            "no database endpoint",
        ),
        ("nlb-123.elb.us-east-1.amazonaws.com", "no database endpoint"),
        ("vpce-0a1b.dsql-fnh4.us-east-1.vpce.amazonaws.com", "VPC endpoint"),
        ("gdb.global-abc123.global.rds.amazonaws.com", "global"),
        ("abc.dsql.on.aws", "no Aurora DSQL endpoint"),
        ("abc.dsqlx.us-east-1.on.aws", "no Aurora DSQL endpoint"),
        ("abc.dsql-.us-east-1.on.aws", "no Aurora DSQL endpoint"),
        ("abc.dsql.us-east-1.x.on.aws", "no Aurora DSQL endpoint"),
        (
            "evil.us-east-1.rds.amazonaws.com.example.org",
            "no AWS database endpoint",
        ),
        ("xamazonaws.com", "no AWS database endpoint"),
        ("10.0.0.7", "no AWS database endpoint"),
        ("::1", "no AWS database endpoint"),
        ("", "is empty"),
        (".", "empty label"),
        ("a..b", "empty label"),
        (".rds.amazonaws.com", "empty label"),
        ("/var/run/postgresql", "Unix socket"),
        ("@abstract", "Unix socket"),
        ("postgresql://db.example.com", "URL"),
        ("db.example.com/app", "URL"),
        ("db.example.com:5432", "port"),
        ("db.example.com,db2.example.com", "characters"),
        ("db example.com", "characters"),
        ("db\0.example.com", "characters"),
        ("db.example.com\n", "characters"),
        ("d\u{e9}.example.com", "characters"),
        ("db.abc123.us-east-1.rds.amazonaws.com?DBUser=admin", "characters"),
    ] {
        let error = parse(host).expect_err(host);
        assert!(error.message.contains(said), "{host}: {}", error.message);
        assert!(error.hint.len() > 20, "{host}: {}", error.hint);
    }
    let long = "a".repeat(1 << 20);
    let error = parse(&long).expect_err("1 MB");
    assert!(error.message.len() < 100 && error.hint.len() < 200);
    assert!(
        Endpoint::parse(
            &Address {
                host: "x",
                port: Some(0),
                ..Address::default()
            },
            || None
        )
        .is_err()
    );
}

/// Any text at all: an endpoint or an error, never a panic, and what is accepted is stable.
#[test]
fn any_text_is_parsed_or_refused() {
    let pieces = [
        "db",
        "cluster-x1",
        "proxy-x1",
        "endpoint",
        "global-x1",
        "global",
        "rds",
        "rds-fips",
        "us-east-1",
        "cn-north-1",
        "us-gov-west-1",
        "amazonaws.com",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "c2s.ic.gov",
        "dsql",
        "dsql-svc",
        "on.aws",
        "vpce",
        "elb",
        "abcdefghij0123456789klmnop",
        "",
        "-",
        "%",
        "\0",
        "\u{1F418}",
        ":",
        "5432",
        "[::1]",
        "/",
    ];
    // A linear congruential generator: the same texts on every run.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..200_000 {
        let host: Vec<&str> = (0..next(7)).map(|_| pieces[next(pieces.len())]).collect();
        let host = host.join(if next(8) == 0 { "" } else { "." });
        let region = [None, Some("us-east-1"), Some(pieces[next(pieces.len())])][next(3)];
        let token_host = [None, None, Some(pieces[next(pieces.len())])][next(3)];
        let address = Address {
            host: &host,
            port: None,
            region,
            token_host,
        };
        if let Ok(endpoint) = Endpoint::parse(&address, || Some("eu-west-1".into())) {
            let again = Address {
                host: &endpoint.host,
                region: Some(&endpoint.region),
                ..address
            };
            assert_eq!(
                Endpoint::parse(&again, || None).ok().as_ref(),
                Some(&endpoint),
                "{host}"
            );
        }
    }
}
