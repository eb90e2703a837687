"""Events of standard input to Elastic's _bulk with the Python client's own bulk helper, as an application does it that must not lose any:
what failed is offered again. usage: elastic_client.py URL TOKEN create|index"""
import itertools
import json
import sys
import time

import elasticsearch
from elasticsearch import helpers


def main(url, token, action):
    client = elasticsearch.Elasticsearch(url, api_key=("shipper", token), request_timeout=20, max_retries=3, retry_on_timeout=True)
    events = (json.loads(line) for line in sys.stdin)
    conflicts = 0
    while chunk := list(itertools.islice(events, 200)):
        actions = [{"_op_type": action, "_index": "python", "_id": e["n"], "_source": e} for e in chunk]
        while True:
            try:
                for good, item in helpers.streaming_bulk(client, actions, chunk_size=200, raise_on_error=False):
                    status = item[action]["status"]
                    conflicts += status in (200, 409)
                    if not good and status != 409:
                        sys.exit(f"refused: {item}")
                break
            except (elasticsearch.ConnectionError, elasticsearch.ApiError) as trouble:
                if getattr(trouble, "status_code", 503) not in (429, 503):
                    raise
                time.sleep(0.1)  # between tries, as its own helper waits: the node is being killed
    print(f"{conflicts} were there already")


if __name__ == "__main__":
    main(*sys.argv[1:])
