// Rows as CSV in which no spreadsheet finds a formula; the rule is that of tiw/files.py, which says why.
const A_NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
const harmless = (text) =>
  A_NUMBER.test(text)
    ? text
    : text
        .replace(/([;\t\r\n])(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1'")
        .replace(/^(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])/, "'");
const as_written = (text) => text.replace(/(^|[;\t\r\n])'(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1");
const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
const as_csv = (rows) => `${rows.map((row) => row.map((v) => quoted(harmless(String(v)))).join(",")).join("\n")}\n`;
