// A table: npm has no component for it that stands alone.
import { Field, FieldType, formattedValueToString, getFieldDisplayName, GrafanaTheme2 } from '@grafana/data';
import { Chart } from './charts';

type Cell = { field: Field; row: number; theme: GrafanaTheme2 };

function look({ field, row, theme }: Cell) {
  const { color } = field.display!(field.values[row]);
  const kind = field.config.custom?.cellOptions?.type;
  if (kind === 'color-background') { return { background: color, color: theme.colors.getContrastText(color || '#000') }; }
  return kind === 'color-text' ? { color } : {};
}

const said = (field: Field, row: number) => (field.values[row] === undefined || field.values[row] === null ? ''
  : formattedValueToString(field.display!(field.values[row])));

export function PlainTable({ data: [frame], data, width, height, theme }: Chart) {
  const fields = frame.fields.filter((field) => !field.config.custom?.hidden);
  const line = `1px solid ${theme.colors.border.weak}`;
  const cell = (field: Field) => ({
    padding: '6px 8px', borderRight: line, overflow: 'hidden', whiteSpace: 'nowrap' as const,
    textOverflow: 'ellipsis', textAlign: field.type === FieldType.number && !field.config.mappings?.length ? 'right' as const : 'left' as const,
  });
  return (
    <div style={{ width, height, overflow: 'hidden', fontSize: 14 }}>
      <table style={{ width, tableLayout: 'fixed', borderCollapse: 'collapse' }}>
        <colgroup>{fields.map((field) => <col key={field.name} style={{ width: field.config.custom?.width }} />)}</colgroup>
        <thead><tr>{fields.map((field) => (
          <th key={field.name} data-cell style={{ ...cell(field), color: theme.colors.primary.text, fontWeight: 500 }}>
            {getFieldDisplayName(field, frame, data)}
          </th>
        ))}</tr></thead>
        <tbody>{Array.from({ length: frame.length }, (_, row) => (
          <tr key={row} style={{ borderTop: line }}>{fields.map((field) => (
            <td key={field.name} data-cell style={{
              ...cell(field), ...look({ field, row, theme }),
              textDecoration: field.config.links?.length ? 'underline' : undefined,
            }}>
              {said(field, row)}
            </td>
          ))}</tr>
        ))}</tbody>
      </table>
    </div>
  );
}
