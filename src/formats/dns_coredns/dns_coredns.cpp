// CoreDNS: the log and errors plugins in their default wording, from a container's output or inside a shipper's envelope:
// "[INFO] 192.0.2.1:36413 - 21583 "A IN example.org. udp 43 false 512" NOERROR qr,rd,ra 136 0.000102078s".
#include "formats/line_reader.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats::dns_coredns {

namespace {

void put_if(FieldSink& sink, std::string_view name, std::string_view value) {
  if (!value.empty() && value != "-") sink.put(name, value);
}

std::string_view no_dot(std::string_view name) {
  return name.size() > 1 && name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

class Reader final : public LineReader {
 public:
  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    Cursor at(line);
    std::optional<Instant> when;
    if (const auto t = iso_time(at.rest())) {  // containerd and Docker put it before the line
      when = t->t;
      at.advance(t->length);
      at.spaces();
    }
    if (!at.skip('[')) {
      reason = "no level in brackets";
      return LineVerdict::not_mine;
    }
    const auto level = at.until("] ");
    if (!level || likelihood(line) == 0) {
      reason = "no line of the log or errors plugin";
      return LineVerdict::not_mine;
    }
    if (when) sink.happened(*when);
    sink.put("level", *level);
    sink.put("message", at.rest());
    if (at.skip("plugin/errors: ")) {
      put_if(sink, "rcode", at.word());
      put_if(sink, "query", no_dot(at.word()));
      put_if(sink, "record_type", at.until(':').value_or(""));
      put_if(sink, "reason", at.spaces().rest());
      return LineVerdict::event;
    }
    const HostPort client = host_port(at.word());
    at.skip("- ");
    const std::string_view id = at.word();
    at.skip('"');
    const auto question = at.until('"');
    if (!question) {
      reason = "the question has no end";
      return LineVerdict::refused;
    }
    put_if(sink, "src_ip", client.host);
    put_if(sink, "src_port", client.port);
    put_if(sink, "query_id", id);
    Cursor q(*question);
    put_if(sink, "record_type", q.word());
    put_if(sink, "record_class", q.word());
    put_if(sink, "query", no_dot(q.word()));
    put_if(sink, "protocol", q.word());
    at.spaces();
    put_if(sink, "rcode", at.word());
    put_if(sink, "flags", at.word());
    put_if(sink, "size", at.word());
    put_if(sink, "duration", at.word());
    return LineVerdict::event;
  }

  int likelihood(std::string_view line) const override {
    const std::size_t open = line.substr(0, 48).find('[');
    if (open == std::string_view::npos) return 0;
    const std::string_view s = line.substr(open);
    const std::size_t close = s.substr(0, 12).find("] ");
    if (close == std::string_view::npos) return 0;
    const std::string_view rest = s.substr(close + 2);
    if (rest.starts_with("plugin/errors: ")) return 95;
    const std::size_t dash = rest.substr(0, 64).find(" - ");
    if (dash == std::string_view::npos || !looks_like_ip(host_port(rest.substr(0, dash)).host)) return 0;
    return rest.substr(dash, 16).find(" \"") != std::string_view::npos ? 90 : 0;
  }
};

}  // namespace

std::unique_ptr<LineReader> make_reader() {
  return std::make_unique<Reader>();
}

}  // namespace bavn::formats::dns_coredns
