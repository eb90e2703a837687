// Windows DHCP server audit log (DhcpSrvLog-*.log, DhcpV6SrvLog-*.log). Times are the server's local time, read as UTC.
#include <array>

#include "base/text.hpp"
#include "formats/line_reader.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats::dhcp_windows {

namespace {

constexpr std::array<std::string_view, 19> kV4 = {"event_id",
                                                  "date",
                                                  "time",
                                                  "description",
                                                  "src_ip",
                                                  "host_name",
                                                  "mac",
                                                  "user",
                                                  "transaction_id",
                                                  "q_result",
                                                  "probation_time",
                                                  "correlation_id",
                                                  "dhc_id",
                                                  "vendor_class_hex",
                                                  "vendor_class",
                                                  "user_class_hex",
                                                  "user_class",
                                                  "relay_agent_information",
                                                  "dns_reg_error"};
constexpr std::array<std::string_view, 12> kV6 = {"event_id", "date",      "time",       "description",
                                                  "src_ip",   "host_name", "error_code", "duid_length",
                                                  "duid",     "user",      "dhc_id",     "subnet_prefix"};

class Reader final : public LineReader {
 public:
  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    line = trim(line);
    if (line.empty()) return LineVerdict::meta;
    Civil c;
    if (!shape(line, c)) {
      // The file begins with an explanation of its own event ids.
      if (line.find(',') == std::string_view::npos || line.starts_with("ID,Date,Time")) return LineVerdict::meta;
      reason = "no id, date and time at the start";
      return all_digits(line.substr(0, line.find(','))) ? LineVerdict::refused : LineVerdict::not_mine;
    }
    std::string_view value, id;
    std::size_t n = 0;
    for (CsvFields f(line); f.next(value, scratch_); ++n) {
      if (n == 0) id = value;
      const bool v6 = id.size() >= 4;  // v6 ids are 11000 and up, and 1103
      const std::string_view name =
          v6 ? (n < kV6.size() ? kV6[n] : std::string_view{}) : (n < kV4.size() ? kV4[n] : std::string_view{});
      if (name.empty() || value.empty()) continue;
      sink.put(name, value);
      if (n == 3) sink.put("message", value);
    }
    if (n < 5) {
      reason = "dhcp line is cut";
      return LineVerdict::refused;
    }
    if (const auto t = instant(c)) sink.happened(*t);
    return LineVerdict::event;
  }

  int likelihood(std::string_view line) const override {
    Civil c;
    if (shape(line, c)) return 95;
    if (line.starts_with("Event ID  Meaning")) return 90;
    Cursor at(line);  // "10<tab>A new IP address was leased to a client."
    if (at.number(5) && at.peek() == '\t') return 60;
    return line.find("Microsoft DHCP Service Activity Log") != std::string_view::npos ||
                   line.starts_with("ID,Date,Time,Description")
               ? 95
               : 0;
  }

 private:
  /// "30,09/20/21,09:16:15," : month, day, year.
  static bool shape(std::string_view line, Civil& c) {
    Cursor at(line);
    if (!at.number(5) || !at.skip(',')) return false;
    const auto month = at.number(2);
    if (!month || !at.skip('/')) return false;
    const auto day = at.number(2);
    if (!day || !at.skip('/')) return false;
    const auto year = at.number(4);
    if (!year || !at.skip(',')) return false;
    c.month = static_cast<int>(*month);
    c.day = static_cast<int>(*day);
    c.year = *year < 100 ? *year + 2000 : *year;
    const std::size_t used = clock_time(at.rest().substr(0, 8), c);  // ",0" behind it is the next column
    at.advance(used);
    return used != 0 && at.peek() == ',';
  }
  std::string scratch_;
};

}  // namespace

std::unique_ptr<LineReader> make_reader() {
  return std::make_unique<Reader>();
}

}  // namespace bavn::formats::dhcp_windows
