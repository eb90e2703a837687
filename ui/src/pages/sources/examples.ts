/** What shippers are told, as docs/shippers.md has it (examples.test.ts holds the two together). */
export interface Place {
  host: string;
  port: number;
  token: string;
}

export const products = ['filebeat', 'rsyslog', 'syslog_ng', 'hec'] as const;
export type Product = (typeof products)[number];

/** The products' own names: the same in every language. */
export const names: Record<Product, string> = { filebeat: 'Filebeat, Winlogbeat', rsyslog: 'rsyslog', syslog_ng: 'syslog-ng', hec: 'Splunk HEC' };

const texts: Record<Product, (place: Place) => string> = {
  filebeat: ({ host, port, token }) => `output.elasticsearch:
  hosts: ["http://${host}:${port}"]
  api_key: "filebeat:${token}"
  allow_older_versions: true
setup.template.enabled: false
setup.ilm.enabled: false
processors:                      # exactly once
  - fingerprint:
      fields: ["agent.id", "log.file.path", "log.offset"]
      target_field: "@metadata._id"
`,
  rsyslog: ({ host, port, token }) => `module(load="omelasticsearch")
template(name="doc" type="list" option.jsonf="on") {
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="message" name="rawmsg" format="jsonf")
}
template(name="id" type="string" string="%uuid%")   # made once with the message, kept when it is tried again
action(type="omelasticsearch" server="${host}" serverport="${port}" uid="rsyslog" pwd="${token}"
  template="doc" searchIndex="rsyslog" searchType="" bulkmode="on" dynBulkId="on" bulkId="id" writeOperation="create"
  action.resumeRetryCount="-1" queue.type="linkedList" queue.fileName="bavn" queue.saveOnShutdown="on")
`,
  syslog_ng: ({ host, port, token }) => `destination d_bavn {
  elasticsearch-http(url("http://${host}:${port}/_bulk") index("syslog-ng") type("") custom-id("$UNIQID")
    user("syslog-ng") password("${token}") batch-lines(500) batch-timeout(1000)
    disk-buffer(disk-buf-size(1073741824) reliable(yes))
    template("$(format-json --scope rfc5424 --key ISODATE @timestamp=\${ISODATE} message=$MSG)"));
};
options { use-uniqid(yes); };
`,
  hec: ({ host, port, token }) => `destination d_bavn {
  http(url("http://${host}:${port}/services/collector/event") method("POST") batch-lines(500) batch-timeout(1000)
    headers("Authorization: Splunk ${token}")
    body('$(format-json --scope none time=$S_UNIXTIME host=$HOST sourcetype=syslog event=$MSG)'));
};
`,
};

/** rsyslog over RELP, which has a listener of its own and no token. */
export const relpExample = ({ host, port }: { host: string; port: number }, tls: boolean): string => `module(load="omrelp")
action(type="omrelp" target="${host}" port="${port}"${
  tls
    ? ` tls="on" tls.caCert="/etc/ssl/bavn-ca.pem"
  tls.authMode="name" tls.permittedPeer=["${host}"]`
    : ''
}
  action.resumeRetryCount="-1" queue.type="linkedList" queue.fileName="bavn-relp" queue.saveOnShutdown="on")
`;

export const example = (product: Product, place: Place): string => texts[product](place);

/** Where a shipper reaches an address on which a node listens: everywhere is wherever this page came from. */
export function reach(address: string | undefined, page: string): string {
  const host = !address || address === '0.0.0.0' || address === '::' ? page : address;
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

export const onlyHere = (address: string | undefined): boolean => address !== undefined && /^(127\.|::1$|localhost$)/.test(address);
