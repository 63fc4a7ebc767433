//! The picture: for each client, a bar of wall time and one of the processor's.

use std::fmt::Write;

use super::report::Row;

/// Draws the costs of one decision as SVG, readable on light and dark pages.
pub(crate) fn draw(rows: &[Row]) -> String {
    // A bar of another order of magnitude would make the others all alike: it is cut, with its number beside it.
    let mut walls: Vec<_> = rows.iter().map(|row| row.cost.wall).collect();
    walls.sort_by(f64::total_cmp);
    let longest = walls.iter().rfind(|wall| **wall < 4.0 * walls[walls.len() / 2]);
    let scale = f64::from(LONGEST) / longest.copied().unwrap_or(1.0) / 1.05;

    let height = TOP + ROW * u32::try_from(rows.len()).unwrap_or_default() + 12;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n{STYLE}\
         <title>Wall time and CPU time of one decision, by client</title>\n\
         <text x=\"12\" y=\"26\" class=\"title\">One decision on loopback, µs (less is better)</text>\n\
         <rect class=\"wall\" x=\"{LEFT}\" y=\"40\" width=\"12\" height=\"12\"/>\
         <text x=\"{}\" y=\"50\">wall time, the server's share included</text>\n\
         <rect class=\"cpu\" x=\"{}\" y=\"40\" width=\"12\" height=\"12\"/>\
         <text x=\"{}\" y=\"50\">CPU of the client</text>\n",
        LEFT + 18,
        LEFT + 270,
        LEFT + 288,
    );
    for (number, row) in (0..).zip(rows) {
        let y = TOP + ROW * number;
        let name = row.name.replace('`', "");
        let middle = y + ROW / 2;
        _ = writeln!(svg, "<text x=\"{}\" y=\"{middle}\" class=\"name\">{name}</text>", LEFT - 10);
        bar(&mut svg, "wall", y, row.cost.wall, scale);
        bar(&mut svg, "cpu", y + BAR + 1, row.cost.cpu, scale);
    }
    svg + "</svg>\n"
}

fn bar(svg: &mut String, class: &str, y: u32, seconds: f64, scale: f64) {
    let whole = seconds * scale;
    let width = whole.min(f64::from(LONGEST));
    let end = f64::from(LEFT) + width;
    let base = y + BAR - 3;
    _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>\
         <text x=\"{:.1}\" y=\"{base}\">{:.0}</text>",
        end + 6.0,
        seconds * 1e6
    );
    if whole > width {
        // It goes on: a gap shows that it is cut.
        let gap = end - 24.0;
        _ = writeln!(
            svg,
            "<path class=\"gap\" d=\"M{gap} {}l8 -{}l6 0l-8 {}z\"/>",
            y + BAR + 1,
            BAR + 2,
            BAR + 2
        );
    }
}

const WIDTH: u32 = 760;
const TOP: u32 = 66;
const LEFT: u32 = 210;
/// The longest bar, whose number still has its place beside it.
const LONGEST: u32 = 490;
const ROW: u32 = 38;
const BAR: u32 = 13;
/// The page's colours are not known: the picture has its own background for each scheme.
const STYLE: &str = "<style>\
    svg{background:#fff;color-scheme:light dark;font:12px system-ui,sans-serif;fill:#24292f}\
    .title{font-size:15px;font-weight:600}.name{text-anchor:end}\
    .wall{fill:#0969da}.cpu{fill:#bc4c00}.gap{fill:#fff}\
    @media(prefers-color-scheme:dark){svg{background:#0d1117;fill:#e6edf3}\
    .wall{fill:#4493f8}.cpu{fill:#f0883e}.gap{fill:#0d1117}}</style>\n";
