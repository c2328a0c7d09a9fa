"""Makes the vectors of this folder: aggregates as the published package aws-kinesis-agg writes them.

    pip install aws-kinesis-agg && python make_vectors.py

Each *.aggregate is a record's payload; the *.json beside it is what went in, in order.
"""
import base64, json
from aws_kinesis_agg.aggregator import RecordAggregator

def write(name, records):
    aggregator = RecordAggregator()
    for key, hash_key, data in records:
        assert aggregator.add_user_record(key, data, hash_key) is None
    partition_key, explicit_hash_key, payload = aggregator.clear_and_get().get_contents()
    with open(f"{name}.aggregate", "wb") as file:
        file.write(payload)
    users = [{"partition_key": k, "explicit_hash_key": h, "data": base64.b64encode(d).decode()} for k, h, d in records]
    with open(f"{name}.json", "w") as file:
        json.dump({"partition_key": partition_key, "records": users}, file, indent=1, ensure_ascii=False)
        file.write("\n")

write("one", [("customer-7", None, b"hello")])
write("keys-repeat", [(f"key-{n % 5}", None, f"record {n}".encode()) for n in range(40)])
write("hash-keys", [(f"key-{n}", str(n * (2**128 - 1) // 9), b"x" * n) for n in range(10)])
write("any-bytes", [("größe 漢字 🦀", None, bytes(range(256))), ("empty", None, b""), ("a" * 256, "0", b"\xf3\x89\x9a\xc2")])
write("large", [(f"key-{n}", None, bytes([n]) * 5_000) for n in range(12)])
