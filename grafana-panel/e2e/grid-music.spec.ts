import { expect, test } from '@grafana/plugin-e2e';

test('the provisioned dashboard shows the state and the music', async ({ gotoDashboardPage, page }) => {
  await gotoDashboardPage({ uid: 'gridtone-grid-music' });
  const panel = page.getByRole('region', { name: 'Grid music', exact: true }).last();
  await expect(panel.getByRole('heading', { level: 3 })).toBeVisible();
  await panel.getByRole('button', { name: 'Play', exact: true }).click();
  await expect(panel.getByRole('button', { name: 'Pause' })).toBeVisible();
});

test('the data source is healthy', async ({ readProvisionedDataSource, gotoDataSourceConfigPage }) => {
  const source = await readProvisionedDataSource({ fileName: 'gridtone.yaml' });
  const config = await gotoDataSourceConfigPage(source.uid);
  await expect(config.saveAndTest()).toBeOK();
});

test('the query editor offers what the service has', async ({ panelEditPage, readProvisionedDataSource, page }) => {
  const source = await readProvisionedDataSource({ fileName: 'gridtone.yaml' });
  await panelEditPage.datasource.set(source.name);
  await page.locator('#kind-A').click();
  await page.getByRole('option', { name: 'Stock' }).click();
  await panelEditPage.setVisualization('Table');
  await expect(panelEditPage.refreshPanel()).toBeOK();
  await expect(panelEditPage.panel.fieldNames).toContainText(['State', 'Fresh tracks', 'Wanted']);
});
